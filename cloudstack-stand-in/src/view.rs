//! Domains, accounts, users and events as answers show them: the same fields in the same order.

use std::sync::OnceLock;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::Cloud;
use crate::clock::shown;
use crate::cloud::{ROOT_DOMAIN, roles};
use crate::events::{Event, Resource};
use crate::ids::Id;
use crate::model::{Account, Domain, RoleKind, State, User};

const INHERIT: &str = "INHERIT";

/// The limits and counters of what owns nothing.
#[derive(serde::Deserialize)]
pub(crate) struct Counters {
    admin_account: Map<String, Value>,
    account: Map<String, Value>,
    root_domain: Map<String, Value>,
    domain: Map<String, Value>,
    pub(crate) project: Map<String, Value>,
}

pub(crate) fn counters() -> &'static Counters {
    static COUNTERS: OnceLock<Counters> = OnceLock::new();
    COUNTERS.get_or_init(|| {
        serde_json::from_str(include_str!("../data/counters.json")).expect("the embedded counters are well-formed")
    })
}

/// How much of an object is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    /// With all counters, as lists show it by default.
    Full,
    /// Without counters (`details=min`).
    Minimal,
    /// As the commands show a domain that they made or changed.
    Changed { with_created: bool },
}

#[derive(Serialize)]
pub(crate) struct DomainView<'a> {
    id: Id,
    name: &'a str,
    level: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    parentdomainid: Option<Id>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parentdomainname: Option<&'a str>,
    haschild: bool,
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<String>,
    #[serde(flatten)]
    counters: Option<&'static Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secondarystoragetotal: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hasannotations: Option<bool>,
}

#[derive(Serialize)]
pub(crate) struct AccountView<'a> {
    id: Id,
    name: &'a str,
    accounttype: u8,
    roleid: &'static str,
    roletype: RoleKind,
    rolename: &'static str,
    domainid: Id,
    domain: &'a str,
    domainpath: String,
    #[serde(flatten)]
    counters: Option<&'static Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secondarystoragetotal: Option<f64>,
    state: State,
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<String>,
    user: Vec<UserView<'a>>,
    isdefault: bool,
    groups: [u8; 0],
    #[serde(skip_serializing_if = "Option::is_none")]
    apikeyaccess: Option<&'static str>,
}

#[derive(Serialize)]
pub(crate) struct UserView<'a> {
    id: Id,
    username: &'a str,
    firstname: &'a str,
    lastname: &'a str,
    email: &'a str,
    created: String,
    state: State,
    account: &'a str,
    accounttype: u8,
    usersource: &'static str,
    roleid: &'static str,
    roletype: RoleKind,
    rolename: &'static str,
    domainid: Id,
    domain: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    apikey: Option<&'a str>,
    accountid: Id,
    iscallerchilddomain: bool,
    isdefault: bool,
    is2faenabled: bool,
    is2famandated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    apikeyaccess: Option<&'static str>,
}

#[derive(Serialize)]
pub(crate) struct EventView<'a> {
    id: Id,
    username: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    level: &'static str,
    description: &'a str,
    account: &'a str,
    domainid: Id,
    domain: &'a str,
    domainpath: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    resourceid: Option<Id>,
    resourcetype: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    resourcename: Option<&'a str>,
    created: String,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    parentid: Option<Id>,
}

impl Cloud {
    pub(crate) fn view_domain<'a>(&'a self, domain: &'a Domain, detail: Detail) -> DomainView<'a> {
        let parent = domain.parent.and_then(|parent| self.domains.get_or_gone(parent));
        let full = if domain.number == ROOT_DOMAIN { &counters().root_domain } else { &counters().domain };
        let listed = matches!(detail, Detail::Full | Detail::Minimal);
        let with_created = listed || detail == Detail::Changed { with_created: true };
        DomainView {
            id: Id(domain.uuid),
            name: &domain.name,
            level: self.level(domain),
            parentdomainid: parent.map(|parent| Id(parent.uuid)),
            parentdomainname: parent.map(|parent| parent.name.as_str()),
            haschild: domain.children > 0,
            path: self.path(domain.number),
            state: listed.then_some("Active"),
            created: domain.created_s.filter(|_| with_created).map(shown),
            counters: (detail == Detail::Full).then_some(full),
            secondarystoragetotal: (detail != Detail::Full).then_some(0.0),
            hasannotations: listed.then_some(false),
        }
    }

    /// `key_access` is shown to root admins, and not by every command.
    pub(crate) fn view_account<'a>(&'a self, account: &'a Account, full: bool, key_access: bool) -> AccountView<'a> {
        let role = &roles()[account.role];
        let domain = self.domains.get_or_gone(account.domain);
        let own = if role.kind == RoleKind::Admin { &counters().admin_account } else { &counters().account };
        let users = account.users.iter().filter_map(|number| self.users.get_or_gone(*number));
        AccountView {
            id: Id(account.uuid),
            name: &account.name,
            accounttype: role.kind.account_type(),
            roleid: &role.id,
            roletype: role.kind,
            rolename: &role.name,
            domainid: Id(domain.map_or_else(uuid::Uuid::nil, |domain| domain.uuid)),
            domain: domain.map_or("", |domain| domain.name.as_str()),
            domainpath: self.path(account.domain),
            counters: full.then_some(own),
            secondarystoragetotal: (!full).then_some(0.0),
            state: account.state,
            created: account.created_s.map(shown),
            user: users.map(|user| self.view_user_in(user, account, false, false)).collect(),
            isdefault: account.is_default,
            groups: [],
            apikeyaccess: key_access.then_some(INHERIT),
        }
    }

    /// A user on its own; nothing when its account is gone.
    pub(crate) fn view_user<'a>(
        &'a self,
        user: &'a User,
        below_caller: bool,
        key_access: bool,
    ) -> Option<UserView<'a>> {
        let account = self.accounts.get_or_gone(user.account)?;
        Some(self.view_user_in(user, account, below_caller, key_access))
    }

    fn view_user_in<'a>(
        &'a self,
        user: &'a User,
        account: &'a Account,
        below_caller: bool,
        key_access: bool,
    ) -> UserView<'a> {
        let role = &roles()[account.role];
        let domain = self.domains.get_or_gone(account.domain);
        UserView {
            id: Id(user.uuid),
            username: &user.username,
            firstname: &user.first_name,
            lastname: &user.last_name,
            email: &user.email,
            created: shown(user.created_s),
            state: user.state,
            account: &account.name,
            accounttype: role.kind.account_type(),
            usersource: "native",
            roleid: &role.id,
            roletype: role.kind,
            rolename: &role.name,
            domainid: Id(domain.map_or_else(uuid::Uuid::nil, |domain| domain.uuid)),
            domain: domain.map_or("", |domain| domain.name.as_str()),
            apikey: user.keys.as_ref().map(|keys| keys.api_key.as_str()),
            accountid: Id(account.uuid),
            iscallerchilddomain: below_caller,
            isdefault: user.is_default,
            is2faenabled: false,
            is2famandated: false,
            apikeyaccess: key_access.then_some(INHERIT),
        }
    }

    pub(crate) fn view_event<'a>(&'a self, event: &'a Event) -> EventView<'a> {
        let account = self.accounts.get_or_gone(event.account);
        let domain = account.and_then(|account| self.domains.get_or_gone(account.domain));
        EventView {
            id: Id(event.id),
            username: self.users.get_or_gone(event.user).map_or("", |user| user.username.as_str()),
            kind: event.kind,
            level: if event.failed { "ERROR" } else { "INFO" },
            description: &event.description,
            account: account.map_or("", |account| account.name.as_str()),
            domainid: Id(domain.map_or_else(uuid::Uuid::nil, |domain| domain.uuid)),
            domain: domain.map_or("", |domain| domain.name.as_str()),
            domainpath: domain.map_or_else(String::new, |domain| self.path(domain.number)),
            resourceid: event.resource_id.map(Id),
            resourcetype: event.resource.name(),
            resourcename: event.resource_id.and_then(|id| self.name_of(event.resource, &id)),
            created: shown(event.created_s),
            state: event.stage.name(),
            parentid: event.parent.map(Id),
        }
    }

    /// The present name of what an event is about, or the last one it had.
    fn name_of(&self, resource: Resource, id: &uuid::Uuid) -> Option<&str> {
        match resource {
            Resource::Domain => {
                let domain = self.domains.number_of(id).and_then(|number| self.domains.get_or_gone(number));
                domain.map(|domain| domain.name.as_str())
            }
            Resource::Account => {
                let account = self.accounts.number_of(id).and_then(|number| self.accounts.get_or_gone(number));
                account.map(|account| account.name.as_str())
            }
            Resource::User => {
                let user = self.users.number_of(id).and_then(|number| self.users.get_or_gone(number));
                user.map(|user| user.username.as_str())
            }
            Resource::Configuration => None,
        }
    }
}
