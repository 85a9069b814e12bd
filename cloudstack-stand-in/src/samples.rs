//! Clouds with tenants: the recorded ones, and any number of made-up ones.

use serde::Deserialize;
use uuid::Uuid;

use crate::Cloud;
use crate::clock::parse_with_offset;
use crate::cloud::{Person, ROOT_DOMAIN, USER_ROLE, roles};
use crate::model::Project;
use crate::settings;

const RECORDED: &str = include_str!("../data/tenants.json");
/// When everything in a grown cloud was made.
const GROWN_S: i64 = 1_795_320_000;

#[derive(Deserialize)]
struct Tenants {
    domains: Vec<RecordedDomain>,
    accounts: Vec<RecordedAccount>,
    users: Vec<RecordedUser>,
}

#[derive(Deserialize)]
struct RecordedDomain {
    id: String,
    name: String,
    parentdomainid: Option<String>,
    created: Option<String>,
}

#[derive(Deserialize)]
struct RecordedAccount {
    id: String,
    name: String,
    roleid: String,
    domainid: String,
    created: Option<String>,
}

#[derive(Deserialize)]
struct RecordedUser {
    id: String,
    username: String,
    firstname: String,
    lastname: String,
    email: String,
    created: String,
    accountid: String,
}

impl Cloud {
    /// The tenants of a real CloudStack with their uuids, names and e-mails, and the connector's settings as an operator
    /// set them (enabled, shared key `Kr7-example-shared-key`).
    ///
    /// # Panics
    /// Never: the embedded data is well-formed.
    #[must_use]
    pub fn recorded() -> Self {
        let tenants: Tenants = serde_json::from_str(RECORDED).expect("the embedded tenants are well-formed");
        let mut cloud = Self::empty();
        cloud.settings = settings::recorded();
        // ROOT, its account and its user are there already.
        for domain in tenants.domains.into_iter().skip(1) {
            let parent = domain.parentdomainid.and_then(|id| cloud.domains.number_of(&parsed(&id)));
            cloud.add_domain(parsed(&domain.id), domain.name, parent, time(domain.created.as_deref()));
        }
        for account in tenants.accounts.into_iter().skip(1) {
            let domain = cloud.domains.number_of(&parsed(&account.domainid)).unwrap_or(ROOT_DOMAIN);
            let role = roles().iter().position(|role| role.id == account.roleid).unwrap_or(USER_ROLE);
            let created_s = time(account.created.as_deref());
            cloud.add_account(parsed(&account.id), account.name, domain, role, created_s);
        }
        for user in tenants.users.into_iter().skip(1) {
            let account = cloud.accounts.number_of(&parsed(&user.accountid)).unwrap_or_default();
            let created_s = time(Some(&user.created)).unwrap_or_default();
            let person = Person {
                username: user.username,
                first_name: user.firstname,
                last_name: user.lastname,
                email: user.email,
            };
            cloud.add_user(parsed(&user.id), account, person, created_s);
        }
        cloud.projects.push(recorded_project(&cloud));
        cloud
    }

    /// A cloud with this many domains below ROOT (in trees of ten, three levels deep) and this many accounts besides
    /// `admin`, each with one user, spread evenly. Always the same for the same numbers.
    #[must_use]
    pub fn grown(domains: u32, accounts: u32) -> Self {
        let mut cloud = Self::empty();
        for count in 1..=domains {
            let uuid = cloud.ids.uuid();
            let place = ROOT_DOMAIN + count;
            let parent = match count % 10 {
                1 => ROOT_DOMAIN,
                0 => place - 1,
                step => place - step + 1,
            };
            cloud.add_domain(uuid, format!("domain-{count:06}"), Some(parent), Some(GROWN_S));
        }
        for count in 1..=accounts {
            let domain = if domains == 0 { ROOT_DOMAIN } else { ROOT_DOMAIN + 1 + (count - 1) % domains };
            let uuid = cloud.ids.uuid();
            let account = cloud.add_account(uuid, format!("account-{count:06}"), domain, USER_ROLE, Some(GROWN_S));
            let person = Person {
                username: format!("user-{count:06}"),
                first_name: format!("First{count:06}"),
                last_name: "Last".to_owned(),
                email: format!("user-{count:06}@example.com"),
            };
            let uuid = cloud.ids.uuid();
            cloud.add_user(uuid, account, person, GROWN_S);
        }
        cloud
    }
}

/// The one project that the recorded cloud had; it belongs to `ada`.
fn recorded_project(cloud: &Cloud) -> Project {
    let owner = cloud.accounts.number_of(&parsed("6d3a14a3-4e97-4ae7-8b3b-8962928bfe28")).unwrap_or_default();
    Project {
        uuid: parsed("9184318a-cc57-43c1-ad58-c7600df6ccf1"),
        name: "Apollo".to_owned(),
        display_text: "Moon shot".to_owned(),
        owner,
        created_s: 1_795_321_149,
    }
}

fn parsed(id: &str) -> Uuid {
    Uuid::parse_str(id).expect("the embedded ids are well-formed")
}

fn time(text: Option<&str>) -> Option<i64> {
    text.and_then(parse_with_offset)
}
