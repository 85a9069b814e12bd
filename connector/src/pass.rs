//! Reading CloudStack whole: gently, page after page, and with distrust.
//!
//! Absence is concluded only from a pass in which every page told the same count, as many different ids came as it said,
//! and ROOT itself and its own accounts were among them: a key that lost its rights sees less and agrees with itself.

use std::time::Duration;

use crate::{
    Clock,
    cloudstack::{Account, Cloud, CloudError, Domain, Listed, Page},
    error::Error,
    names,
    report::{Progress, ProgressFn},
    state::{CloudRow, Fold, State},
};

/// A count that moves is not an error: somebody made a tenant meanwhile. So the pass is begun again this many times.
const ATTEMPTS_MAX: u32 = 3;

/// What a full pass saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PassEnd {
    pub(crate) domains: u64,
    pub(crate) accounts: u64,
    /// Why absence means nothing this time; `None` when the pass can be trusted.
    pub(crate) distrust: Option<String>,
}

/// One who reads CloudStack into the snapshot.
pub(crate) struct Reader<'a> {
    pub(crate) cloud: &'a Cloud,
    pub(crate) state: &'a State,
    pub(crate) clock: &'a Clock,
    pub(crate) page_pause: Duration,
    pub(crate) progress: &'a ProgressFn,
    /// Who holds the lease, which is renewed between pages because a pass over a large cloud takes minutes.
    pub(crate) owner: &'a str,
}

/// The counts that one kind of list told.
#[derive(Default)]
struct Tally {
    /// What the first page said.
    count: Option<u64>,
    /// True when a later page said otherwise.
    moved: bool,
}

impl Tally {
    /// Takes a page in. The empty answer `{}` proves nothing: CloudStack has a ROOT domain and an admin account.
    fn add<T: Listed>(&mut self, page: &Page<T>) -> Result<u64, Error> {
        let Some(count) = page.count else {
            return Err(Error::Disagreement(format!("{} answered nothing at all", T::COMMAND)));
        };
        let first = *self.count.get_or_insert(count);
        self.moved |= first != count;
        Ok(count)
    }
}

impl Reader<'_> {
    /// Makes sure that CloudStack is the one that the state belongs to, and binds a new state to it.
    pub(crate) async fn recognise(&self) -> Result<CloudRow, Error> {
        if let Some(row) = self.state.cloud().await? {
            confirm_root(self.cloud, &row.cloud_id).await?;
            return Ok(row);
        }
        let root = find_root(self.cloud).await?;
        self.state.bind(&root).await?;
        self.state.cloud().await?.ok_or_else(|| Error::Disagreement("the state keeps no cloud".to_owned()))
    }

    /// Reads everything, again when the count moved meanwhile.
    pub(crate) async fn full_pass(&self, cloud_id: &str) -> Result<PassEnd, Error> {
        let mut attempt = 1;
        loop {
            let end = self.read_once(cloud_id).await?;
            if end.distrust.is_none() || attempt == ATTEMPTS_MAX {
                return Ok(end);
            }
            tracing::info!(attempt, reason = end.distrust, "the pass is begun again");
            attempt += 1;
        }
    }

    async fn read_once(&self, cloud_id: &str) -> Result<PassEnd, Error> {
        let began_us = self.clock.now_us();
        self.state.begin_pass().await?;
        let (mut domains, mut accounts) = (Tally::default(), Tally::default());
        self.read_domains(cloud_id, &mut domains).await?;
        let mut done = 0;
        for page_number in 1.. {
            let page: Page<Account> = self.cloud.accounts(page_number).await?;
            let count = accounts.add(&page)?;
            self.state.fold_accounts(cloud_id, &page.items, Fold::InPass).await?;
            done += u64::try_from(page.items.len()).unwrap_or(0);
            self.between_pages("reading accounts", done, count).await?;
            if page.items.is_empty() || self.cloud.is_last_page(count, page_number) {
                break;
            }
        }
        let seen = self.state.seen_in_pass().await?;
        let distrust = distrust("domains", &domains, seen.domains)
            .or_else(|| distrust("accounts", &accounts, seen.accounts))
            .or(self.root_unseen(cloud_id).await?)
            .or(self.root_accounts_unseen(cloud_id).await?);
        if distrust.is_none() {
            self.state.end_trusted_pass(cloud_id, began_us).await?;
        }
        Ok(PassEnd { domains: seen.domains, accounts: seen.accounts, distrust })
    }

    async fn root_unseen(&self, cloud_id: &str) -> Result<Option<String>, Error> {
        let seen = self.state.root_seen(cloud_id).await?;
        Ok((!seen).then(|| "the ROOT domain was not among the domains".to_owned()))
    }

    async fn root_accounts_unseen(&self, cloud_id: &str) -> Result<Option<String>, Error> {
        let seen = self.state.root_account_seen(cloud_id).await?;
        Ok((!seen).then(|| "no account of the ROOT domain was among the accounts".to_owned()))
    }

    /// Reads all domains and nothing else, and marks those that are not there any more. Returns those that changed.
    pub(crate) async fn domains_only(&self, cloud_id: &str) -> Result<Vec<String>, Error> {
        let began_us = self.clock.now_us();
        self.state.begin_pass().await?;
        let mut tally = Tally::default();
        self.read_domains(cloud_id, &mut tally).await?;
        let seen = self.state.seen_in_pass().await?;
        if let Some(why) = distrust("domains", &tally, seen.domains).or(self.root_unseen(cloud_id).await?) {
            return Err(Error::Disagreement(why));
        }
        self.state.miss_domains(cloud_id, began_us).await?;
        Ok(self.state.domains_changed(cloud_id, began_us).await?)
    }

    async fn read_domains(&self, cloud_id: &str, tally: &mut Tally) -> Result<(), Error> {
        let mut done = 0;
        for page_number in 1.. {
            let page: Page<Domain> = self.cloud.domains(page_number).await?;
            let count = tally.add(&page)?;
            refuse_another_root(cloud_id, &page.items)?;
            self.state.fold_domains(cloud_id, &page.items, Fold::InPass).await?;
            done += u64::try_from(page.items.len()).unwrap_or(0);
            self.between_pages("reading domains", done, count).await?;
            if page.items.is_empty() || self.cloud.is_last_page(count, page_number) {
                break;
            }
        }
        Ok(())
    }

    async fn between_pages(&self, step: &str, done: u64, total: u64) -> Result<(), Error> {
        (self.progress)(Progress { step: step.to_owned(), done, total });
        if !self.state.take_lease(self.owner).await? {
            return Err(Error::NotTheOwner);
        }
        if done < total {
            tokio::time::sleep(self.page_pause).await;
        }
        Ok(())
    }
}

/// Asks for the ROOT that is remembered. A key that lost its rights does not get it either.
pub(crate) async fn confirm_root(cloud: &Cloud, cloud_id: &str) -> Result<(), Error> {
    match cloud.domain(cloud_id).await {
        Ok(domain) if names::is_root(&domain) => Ok(()),
        Ok(_) => Err(Error::AnotherCloud { known: cloud_id.to_owned(), found: "one where it is no ROOT".to_owned() }),
        Err(error @ (CloudError::NotThere | CloudError::Odd { .. })) => {
            let found = find_root(cloud).await?;
            if found == cloud_id {
                return Err(error.into());
            }
            Err(Error::AnotherCloud { known: cloud_id.to_owned(), found })
        }
        Err(error) => Err(error.into()),
    }
}

/// The UUID of ROOT, from the list of domains.
async fn find_root(cloud: &Cloud) -> Result<String, Error> {
    for page_number in 1.. {
        let page = cloud.domains(page_number).await?;
        if let Some(root) = page.items.iter().find(|domain| names::is_root(domain)) {
            return Ok(root.id.clone());
        }
        if page.items.is_empty() || cloud.is_last_page(page.count.unwrap_or(0), page_number) {
            break;
        }
    }
    Err(Error::Disagreement("no ROOT domain is seen: the API key needs the rights of a root admin".to_owned()))
}

/// CloudStack may be exchanged in the middle of a pass: nothing of another one is folded in.
fn refuse_another_root(cloud_id: &str, domains: &[Domain]) -> Result<(), Error> {
    match domains.iter().find(|domain| names::is_root(domain) && domain.id != cloud_id) {
        Some(root) => Err(Error::AnotherCloud { known: cloud_id.to_owned(), found: root.id.clone() }),
        None => Ok(()),
    }
}

fn distrust(noun: &str, tally: &Tally, seen: u64) -> Option<String> {
    let count = tally.count.unwrap_or(0);
    if tally.moved {
        return Some(format!("the number of {noun} moved while they were read"));
    }
    (seen != count).then(|| format!("CloudStack counts {count} {noun} and shows {seen}"))
}
