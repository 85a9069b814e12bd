//! The commands: their names, who may use them, and what they do.

mod accounts;
mod cloudian;
mod domains;
mod events;
mod list;
mod other;
mod settings;
mod stores;
mod users;

use uuid::Uuid;

use crate::Cloud;
use crate::answer::{ApiError, Reply};
use crate::events::By;
use crate::misbehaviour::Lie;
use crate::model::{RoleKind, Row, Table};
use crate::parameters::Parameters;

/// Who makes a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller {
    pub(crate) user: u32,
    pub(crate) account: u32,
    pub(crate) domain: u32,
    pub(crate) role: RoleKind,
}

/// One request of a known caller.
pub(crate) struct Call<'a> {
    pub(crate) cloud: &'a mut Cloud,
    pub(crate) caller: Caller,
    pub(crate) parameters: &'a Parameters,
    pub(crate) lies: &'a [Lie],
    pub(crate) now_ms: i64,
    /// How often a new job answers that it still runs.
    pub(crate) pending_polls: u32,
}

macro_rules! commands {
    ($($variant:ident $name:literal $who:ident $handler:path),+ $(,)?) => {
        /// Every command there is. `login` and `logout` are not among them: they need no caller.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Command { $($variant),+ }

        impl Command {
            /// The command of that name, if it is registered.
            pub(crate) fn named(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)+ _unregistered => None }
            }

            fn least_role(self) -> Least {
                match self { $(Self::$variant => Least::$who),+ }
            }

            pub(crate) fn run(self, call: &mut Call<'_>) -> Result<Reply, ApiError> {
                match self { $(Self::$variant => $handler(call)),+ }
            }
        }
    };
}

commands! {
    ListDomains "listDomains" DomainAdmin domains::list,
    ListDomainChildren "listDomainChildren" DomainAdmin domains::list_children,
    CreateDomain "createDomain" Admin domains::create,
    UpdateDomain "updateDomain" Admin domains::update,
    MoveDomain "moveDomain" Admin domains::relocate,
    DeleteDomain "deleteDomain" Admin domains::delete,
    ListAccounts "listAccounts" User accounts::list,
    CreateAccount "createAccount" DomainAdmin accounts::create,
    UpdateAccount "updateAccount" DomainAdmin accounts::update,
    DisableAccount "disableAccount" DomainAdmin accounts::disable,
    EnableAccount "enableAccount" DomainAdmin accounts::enable,
    DeleteAccount "deleteAccount" DomainAdmin accounts::delete,
    ListUsers "listUsers" User users::list,
    GetUser "getUser" Admin users::get,
    CreateUser "createUser" DomainAdmin users::create,
    UpdateUser "updateUser" User users::update,
    DisableUser "disableUser" DomainAdmin users::disable,
    EnableUser "enableUser" DomainAdmin users::enable,
    DeleteUser "deleteUser" DomainAdmin users::delete,
    RegisterUserKeys "registerUserKeys" User users::register_keys,
    GetUserKeys "getUserKeys" User users::keys,
    QueryAsyncJobResult "queryAsyncJobResult" User other::job_result,
    ListEvents "listEvents" User events::list,
    ListEventTypes "listEventTypes" User other::event_types,
    ListConfigurations "listConfigurations" DomainAdmin settings::list,
    UpdateConfiguration "updateConfiguration" Admin settings::update,
    ListCapabilities "listCapabilities" User other::capabilities,
    ListRoles "listRoles" DomainAdmin other::roles,
    ListProjects "listProjects" User other::projects,
    CloudianIsEnabled "cloudianIsEnabled" User cloudian::is_enabled,
    CloudianSsoLogin "cloudianSsoLogin" User cloudian::sso_login,
    AddImageStore "addImageStore" Admin stores::add_image_store,
    ListImageStores "listImageStores" Admin stores::list_image_stores,
    CreateSecondaryStagingStore "createSecondaryStagingStore" Admin stores::create_staging_store,
    ListSecondaryStagingStores "listSecondaryStagingStores" Admin stores::list_staging_stores,
}

/// The least role that may use a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Least {
    User,
    DomainAdmin,
    Admin,
}

impl Command {
    /// Whether a role may use it.
    pub(crate) fn allows(self, role: RoleKind) -> bool {
        match (role, self.least_role()) {
            (RoleKind::Admin, Least::User | Least::DomainAdmin | Least::Admin)
            | (RoleKind::ResourceAdmin | RoleKind::DomainAdmin, Least::User | Least::DomainAdmin)
            | (RoleKind::User, Least::User) => true,
            (RoleKind::ResourceAdmin | RoleKind::DomainAdmin, Least::Admin)
            | (RoleKind::User, Least::DomainAdmin | Least::Admin) => false,
        }
    }
}

impl Call<'_> {
    pub(crate) fn by(&self) -> By {
        By { user: self.caller.user, at_s: self.now_ms.div_euclid(1000) }
    }

    /// Whether accounts of a domain are within the caller's reach, as far as the lies let it see.
    pub(crate) fn sees_domain(&self, domain: u32) -> bool {
        let reach = match self.caller.role {
            RoleKind::Admin => true,
            RoleKind::ResourceAdmin | RoleKind::DomainAdmin => self.cloud.is_within(domain, self.caller.domain),
            RoleKind::User => domain == self.caller.domain,
        };
        reach && self.lies.iter().all(|lie| self.lie_shows(lie, domain))
    }

    fn lie_shows(&self, lie: &Lie, domain: u32) -> bool {
        let Lie::OnlyBelow { domain: top, .. } = lie else { return true };
        let top = Uuid::parse_str(top).ok().and_then(|top| self.cloud.domains.number_of(&top));
        top.is_some_and(|top| self.cloud.is_within(domain, top))
    }

    /// What is answered about an object of a domain that the caller does not see.
    pub(crate) fn out_of_reach(&self, domain: u32, if_gone: ApiError) -> ApiError {
        let gone = |lie: &Lie| matches!(lie, Lie::OnlyBelow { others_are_gone: true, .. });
        if self.lies.iter().any(gone) {
            return if_gone;
        }
        let account = self.cloud.accounts.get(self.caller.account).map_or("", |account| account.name.as_str());
        let domain = self.cloud.domains.get_or_gone(domain).map(|domain| domain.uuid).unwrap_or_default();
        let text = format!("Account {account} does not have permission to operate within domain id={domain}");
        ApiError::account(text)
    }

    /// The number behind an id parameter: of something that is or was there.
    pub(crate) fn number<T: Row>(&self, table: &Table<T>, name: &str, value: &str) -> Result<u32, ApiError> {
        let number = Uuid::parse_str(value).ok().and_then(|uuid| table.number_of(&uuid));
        number.ok_or_else(|| ApiError::unknown_entity(self.parameters.command(), name, value))
    }

    /// A domain that is there and within reach.
    pub(crate) fn domain(&self, name: &str, value: &str) -> Result<u32, ApiError> {
        let number = self.number(&self.cloud.domains, name, value)?;
        let unknown = || ApiError::unknown_entity(self.parameters.command(), name, value);
        if self.cloud.domains.get(number).is_none() {
            return Err(unknown());
        }
        if self.sees_domain(number) { Ok(number) } else { Err(self.out_of_reach(number, unknown())) }
    }

    /// The domain that a parameter names, if it is there.
    pub(crate) fn optional_domain(&self, name: &str) -> Result<Option<u32>, ApiError> {
        self.parameters.get(name).map(|value| self.domain(name, value)).transpose()
    }
}
