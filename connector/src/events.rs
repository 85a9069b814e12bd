//! Changes between full passes: CloudStack's events say where to look, and what is read there decides.
//!
//! Polls overlap and events already taken in are dropped, so duplicates and disorder do no harm; what is lost is
//! repaired by the next full pass. Descriptions are never looked at.

use std::collections::BTreeSet;

use time::{Duration, OffsetDateTime, format_description::BorrowedFormatItem, macros::format_description};

use crate::{
    clock::to_us,
    cloudstack::{Account, Cloud, CloudError, Event, Page, is_uuid},
    error::Error,
    pass::Reader,
    scope::{Scope, Touched},
    state::{CloudRow, Fold, State},
};

/// How far a poll reaches back: an event's time has a resolution of a second, and several servers write them.
const OVERLAP: Duration = Duration::seconds(60);
/// How long ids of events are remembered; longer than polls reach back.
const REMEMBERED: Duration = Duration::minutes(10);
/// More than this to read one by one, and reading everything is gentler.
const QUESTIONS_MAX: usize = 500;
/// More pages of events than this, and reading everything is gentler.
const PAGES_MAX: u32 = 20;

const WRITTEN: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second][offset_hour sign:mandatory][offset_minute]");
const ASKED: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");

/// Odd answers in one look, beyond which CloudStack itself is taken to be odd.
const ODD_ANSWERS_MAX: usize = 10;

/// What events say to read again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Hints {
    pub(crate) accounts: BTreeSet<String>,
    pub(crate) users: BTreeSet<String>,
    pub(crate) new_domains: BTreeSet<String>,
    /// Names or places of domains changed; every path below them does, too.
    pub(crate) all_domains: bool,
    /// Domains that may be gone with all in them, of which no event tells.
    pub(crate) emptied_domains: BTreeSet<String>,
}

impl Hints {
    /// Takes one event in.
    fn add(&mut self, event: &Event) {
        let id = event.resource_id.as_ref().filter(|id| is_uuid(id)).cloned();
        let Some((noun, verb)) = event.kind.split_once('.') else { return };
        match (noun, verb) {
            ("ACCOUNT", _) => self.accounts.extend(id),
            ("USER", "LOGIN" | "LOGOUT") => {}
            ("USER", _) => self.users.extend(id),
            ("DOMAIN", "CREATE") => self.new_domains.extend(id),
            ("DOMAIN", "DELETE") => {
                self.all_domains = true;
                self.emptied_domains.extend(id);
            }
            ("DOMAIN", _) => self.all_domains = true,
            // Other events change no tenant.
            _ => {}
        }
    }

    /// Takes in what was put off before.
    pub(crate) fn extend(&mut self, other: Self) {
        let Self { accounts, users, new_domains, all_domains, emptied_domains } = other;
        self.accounts.extend(accounts);
        self.users.extend(users);
        self.new_domains.extend(new_domains);
        self.all_domains |= all_domains;
        self.emptied_domains.extend(emptied_domains);
    }

    /// True when there is nothing to read.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A poll's result: what to read, and what to remember once it was read.
pub(crate) struct Poll {
    pub(crate) hints: Hints,
    /// So much happened that everything is to be read.
    pub(crate) everything: bool,
    taken: Vec<(String, i64)>,
    cursor: Option<String>,
}

/// Reads the events since the last poll.
pub(crate) async fn poll(cloud: &Cloud, state: &State, row: &CloudRow) -> Result<Poll, Error> {
    let since = row.event_cursor.as_deref().and_then(asked_since);
    let mut poll =
        Poll { hints: Hints::default(), everything: false, taken: Vec::new(), cursor: row.event_cursor.clone() };
    for page_number in 1.. {
        let page: Page<Event> = cloud.events(since.as_deref(), page_number).await?;
        let last = page.items.is_empty() || cloud.is_last_page(page.count.unwrap_or(0), page_number);
        let unseen = state.unseen(&row.cloud_id, page.items).await?;
        for event in &unseen {
            poll.take(event);
        }
        // Without a cursor the list is all of history, newest first: its first page is enough to begin with, and a full
        // pass sees what the rest told of.
        if last {
            break;
        }
        if row.event_cursor.is_none() || page_number == PAGES_MAX {
            poll.everything = true;
            break;
        }
    }
    let hints = &poll.hints;
    poll.everything |= hints.accounts.len() + hints.users.len() + hints.new_domains.len() > QUESTIONS_MAX;
    Ok(poll)
}

impl Poll {
    fn take(&mut self, event: &Event) {
        self.hints.add(event);
        let at = OffsetDateTime::parse(&event.created, WRITTEN).ok();
        self.taken.push((event.id.clone(), at.map_or(i64::MAX, to_us)));
        let newest = self.cursor.as_deref().and_then(|cursor| OffsetDateTime::parse(cursor, WRITTEN).ok());
        if at.is_some() && at > newest {
            self.cursor = Some(event.created.clone());
        }
    }

    /// Remembers the events as taken in; before that a crash only makes them be read again.
    pub(crate) async fn commit(&self, state: &State, cloud_id: &str) -> Result<(), Error> {
        if self.taken.is_empty() {
            return Ok(());
        }
        let newest = self.cursor.as_deref().and_then(|cursor| OffsetDateTime::parse(cursor, WRITTEN).ok());
        let forget_us = newest.map_or(i64::MIN, |newest| to_us(newest - OVERLAP - REMEMBERED));
        state.take_events(cloud_id, &self.taken, self.cursor.as_deref(), forget_us).await?;
        Ok(())
    }
}

/// The start of a poll, written as the server writes times and in the server's own offset, because that is how it reads
/// them.
fn asked_since(cursor: &str) -> Option<String> {
    let newest = OffsetDateTime::parse(cursor, WRITTEN).ok()?;
    (newest - OVERLAP).format(ASKED).ok()
}

/// What came of reading again.
pub(crate) struct ReadAgain {
    /// Where something may differ now.
    pub(crate) scope: Scope,
    /// The ids about which CloudStack had no usable answer.
    pub(crate) left: Hints,
    /// The first answer of that kind.
    pub(crate) odd: Option<Error>,
}

/// Reads again what the hints name; `None` when that is too much to read one by one. An odd answer about one id keeps nobody
/// else waiting.
pub(crate) async fn read_again(reader: &Reader<'_>, cloud_id: &str, hints: &Hints) -> Result<Option<ReadAgain>, Error> {
    let (mut left, mut errors) = (Hints::default(), Vec::new());
    let (mut accounts, mut domains) = (hints.accounts.clone(), hints.new_domains.clone());
    for user in &hints.users {
        accounts.extend(reader.state.accounts_of_first_user(cloud_id, user).await?);
        match reader.cloud.account_of_user(user).await {
            Ok(found) => accounts.extend(found),
            Err(error) => left.users.extend(put_off(user, error.into(), &mut errors)?),
        }
    }
    for domain in &hints.new_domains {
        if let Err(error) = read_domain(reader, cloud_id, domain).await {
            left.new_domains.extend(put_off(domain, error, &mut errors)?);
        }
    }
    if hints.all_domains {
        domains.extend(reader.domains_only(cloud_id).await?);
    }
    for domain in &hints.emptied_domains {
        domains.extend(reader.state.subtree(cloud_id, domain).await?);
        match unseen_below(reader, cloud_id, domain).await {
            Ok(unseen) => accounts.extend(unseen),
            Err(error) => left.emptied_domains.extend(put_off(domain, error, &mut errors)?),
        }
    }
    if accounts.len() > QUESTIONS_MAX {
        return Ok(None);
    }
    for account in &accounts {
        match read_account(reader, cloud_id, account).await {
            Ok(new_domain) => domains.extend(new_domain),
            Err(error) => left.accounts.extend(put_off(account, error, &mut errors)?),
        }
    }
    let mut touched = Touched { groups: domains, users: accounts };
    touched.users.extend(reader.state.users_below(cloud_id, &touched).await?);
    Ok(Some(ReadAgain { scope: touched.into(), left, odd: errors.into_iter().next() }))
}

/// Puts an id off whose answer was odd. What any other question would meet, too, and many odd answers end the reading.
fn put_off(id: &str, error: Error, errors: &mut Vec<Error>) -> Result<Option<String>, Error> {
    let about_one_id = matches!(&error, Error::CloudStack(error) if error.is_about_one_id());
    if !about_one_id || errors.len() >= ODD_ANSWERS_MAX {
        return Err(error);
    }
    tracing::warn!(id, %error, "CloudStack has no usable answer about an id that an event names; it is asked again");
    errors.push(error);
    Ok(Some(id.to_owned()))
}

/// The accounts of a domain that was to be deleted, and of all below it, that are not shown there any more.
async fn unseen_below(reader: &Reader<'_>, cloud_id: &str, domain: &str) -> Result<BTreeSet<String>, Error> {
    let before = reader.state.accounts_in_subtree(cloud_id, domain).await?;
    let mut unseen: BTreeSet<String> = before.into_iter().collect();
    if reader.state.has_domain(cloud_id, domain).await? {
        for seen in read_accounts_below(reader, cloud_id, domain).await? {
            unseen.remove(&seen);
        }
    }
    Ok(unseen)
}

/// Reads an account, and its domain when that was not known; returns such a domain.
async fn read_account(reader: &Reader<'_>, cloud_id: &str, account_id: &str) -> Result<Option<String>, Error> {
    match reader.cloud.account(account_id).await {
        Ok(account) => {
            let domain_id = account.domain_id.clone();
            let is_new = !reader.state.has_domain(cloud_id, &domain_id).await?;
            if is_new {
                read_domain(reader, cloud_id, &domain_id).await?;
            }
            reader.state.fold_accounts(cloud_id, &[account], Fold::Alone).await?;
            Ok(is_new.then_some(domain_id))
        }
        Err(CloudError::NotThere) => {
            reader.state.miss_account(cloud_id, account_id).await?;
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

async fn read_domain(reader: &Reader<'_>, cloud_id: &str, domain_id: &str) -> Result<(), Error> {
    match reader.cloud.domain(domain_id).await {
        Ok(domain) => reader.state.fold_domains(cloud_id, &[domain], Fold::Alone).await?,
        // A domain that came and went: the event of its deletion says what to do.
        Err(CloudError::NotThere) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// Reads the accounts of a domain that was to be deleted and is still there: some may be gone without an event.
async fn read_accounts_below(reader: &Reader<'_>, cloud_id: &str, domain_id: &str) -> Result<Vec<String>, Error> {
    let mut seen = Vec::new();
    for page_number in 1.. {
        let page: Page<Account> = reader.cloud.accounts_below(domain_id, page_number).await?;
        reader.state.fold_accounts(cloud_id, &page.items, Fold::Alone).await?;
        seen.extend(page.items.iter().map(|account| account.id.clone()));
        if page.items.is_empty() || reader.cloud.is_last_page(page.count.unwrap_or(0), page_number) {
            break;
        }
    }
    Ok(seen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorded;

    fn recorded_hints(name: &str) -> Hints {
        let recording = recorded::json(name);
        let events = &recording["answer"]["body"]["listeventsresponse"]["event"];
        let events: Vec<Event> = serde_json::from_value(events.clone()).unwrap();
        let mut hints = Hints::default();
        events.iter().for_each(|event| hints.add(event));
        hints
    }

    #[test]
    fn the_recorded_events_name_what_changed() {
        let hints = recorded_hints("cloudstack-4.23/list-events-since.json");
        let ids = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>();
        assert_eq!(
            ids(&hints.accounts),
            ["8b877cb4-e540-4c48-8b83-fc099eac6109", "d168508d-f6f0-4b09-bc5a-751f8574ab54"]
        );
        // Log-ins and key registrations change no tenant, so only ada's changed user is left.
        assert_eq!(ids(&hints.users), ["ad70692e-3581-4dc0-bbf4-cf0191ca264d"]);
        assert!(hints.all_domains && hints.new_domains.is_empty());
        assert_eq!(ids(&hints.emptied_domains), ["1aae4722-e87e-43f8-8e30-115a33ddf304"]);
    }

    #[test]
    fn a_poll_asks_in_the_servers_own_offset() {
        assert_eq!(asked_since("2026-11-22T04:22:14+0000").unwrap(), "2026-11-22 04:21:14");
        assert_eq!(asked_since("2026-11-22T00:00:14-0530").unwrap(), "2026-11-21 23:59:14");
        assert_eq!(asked_since("yesterday"), None);
    }

    #[test]
    fn the_newest_event_becomes_the_cursor_whatever_the_order() {
        let mut poll = Poll { hints: Hints::default(), everything: false, taken: Vec::new(), cursor: None };
        for created in ["2026-11-22T04:22:14+0000", "2026-11-22T04:22:10+0000", "nonsense"] {
            let event = Event { id: created.into(), kind: "A.B".into(), resource_id: None, created: created.into() };
            poll.take(&event);
        }
        assert_eq!(poll.cursor.as_deref(), Some("2026-11-22T04:22:14+0000"));
        assert_eq!(poll.taken.len(), 3);
    }
}
