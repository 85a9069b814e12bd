//! Making, renaming, disabling, locking, enabling and deleting accounts.

use crate::Cloud;
use crate::answer::ApiError;
use crate::cloud::Person;
use crate::events::{By, Resource, Story};
use crate::model::State;

/// What a new account consists of.
#[derive(Debug, Clone)]
pub(crate) struct NewAccount {
    pub(crate) name: String,
    pub(crate) domain: u32,
    /// Index into the built-in roles.
    pub(crate) role: usize,
    pub(crate) person: Person,
    pub(crate) password: Option<String>,
}

/// An account, and whether it was asked for by its name: then the first events do not say which one it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Named {
    pub(crate) account: u32,
    pub(crate) by_name: bool,
}

impl Cloud {
    /// Makes an account with its first user.
    pub(crate) fn create_account(&mut self, by: By, new: NewAccount) -> Result<u32, ApiError> {
        let Some(domain) = self.domains.get(new.domain).map(|domain| domain.uuid) else {
            return Err(ApiError::invalid(format!(
                "The domain {} does not exist; unable to create account",
                new.domain
            )));
        };
        let what = format!("Account Name: {}, Domain ID:{domain}", new.person.username);
        if let Err(error) = self.names_are_free(&new) {
            let what = format!("creating Account. {what}");
            let resource = Resource::Account;
            let story = Story { kind: "ACCOUNT.CREATE", resource, what, early_id: None, final_id: None };
            self.tell_failed(by, &story);
            return Err(error);
        }
        let uuid = self.ids.uuid();
        let account = self.add_account(uuid, new.name, new.domain, new.role, Some(by.at_s));
        let user_uuid = self.ids.uuid();
        let user = self.add_user(user_uuid, account, new.person, by.at_s);
        if let Some(user) = self.users.get_mut(user) {
            user.password = new.password;
        }
        let made = Story::about("ACCOUNT.CREATE", Resource::Account, uuid, format!("creating Account. {what}"));
        self.tell_completed(by, &made);
        let made = Story::about("USER.CREATE", Resource::User, user_uuid, format!("creating User. {what}"));
        self.tell_completed(by, &made);
        Ok(account)
    }

    fn names_are_free(&self, new: &NewAccount) -> Result<(), ApiError> {
        if self.account_in(new.domain, &new.name).is_some() {
            return Err(ApiError::invalid(format!("The specified account: {} already exists", new.name)));
        }
        self.username_is_free(new.domain, &new.person.username)
    }

    /// Gives an account another name.
    pub(crate) fn rename_account(&mut self, by: By, number: u32, name: &str) -> Result<(), ApiError> {
        let Some(account) = self.accounts.get(number) else { return Err(gone(number)) };
        let (uuid, domain) = (account.uuid, account.domain);
        if self.account_in(domain, name).is_some_and(|other| other.number != number) {
            return Err(ApiError::invalid(format!("There already exists an account with the name {name}")));
        }
        if let Some(account) = self.accounts.get_mut(number) {
            name.clone_into(&mut account.name);
        }
        let story = Story::about("ACCOUNT.UPDATE", Resource::Account, uuid, "updating account".to_owned());
        self.tell_started_and_completed(by, &story);
        Ok(())
    }

    /// Disables or locks an account; its users keep their own state.
    pub(crate) fn disable_account(&mut self, by: By, target: Named, lock: bool) -> Result<(), ApiError> {
        let Some(account) = self.accounts.get_mut(target.account) else { return Err(gone(target.account)) };
        account.state = if lock { State::Locked } else { State::Disabled };
        let (uuid, name, domain) = (account.uuid, account.name.clone(), account.domain);
        let domain = self.domains.get(domain).map_or_else(String::new, |domain| domain.uuid.to_string());
        let verb = if lock { "locking" } else { "disabling" };
        let (plan, object) = if target.by_name {
            let object = format!("Account Name: {name}, Domain Id:{domain}");
            (format!("Disabling Account {name} in Domain: {domain}"), object)
        } else {
            (format!("Disabling Account with ID: {uuid}"), "Account Name: null, Domain Id:null".to_owned())
        };
        let story = Story {
            kind: "ACCOUNT.DISABLE",
            resource: Resource::Account,
            what: format!("{verb} account. {object}"),
            early_id: (!target.by_name).then_some(uuid),
            final_id: Some(uuid),
        };
        self.tell_job(by, &story, plan, target.account, false);
        Ok(())
    }

    /// Enables an account again, whether it was disabled or locked.
    pub(crate) fn enable_account(&mut self, by: By, target: Named) -> Result<(), ApiError> {
        let Some(account) = self.accounts.get_mut(target.account) else { return Err(gone(target.account)) };
        account.state = State::Enabled;
        let uuid = account.uuid;
        let story = Story {
            kind: "ACCOUNT.ENABLE",
            resource: Resource::Account,
            what: "enabling account".to_owned(),
            early_id: (!target.by_name).then_some(uuid),
            final_id: Some(uuid),
        };
        self.tell_started_and_completed(by, &story);
        Ok(())
    }

    /// Deletes an account with its users.
    pub(crate) fn delete_account(&mut self, by: By, number: u32) -> Result<(), ApiError> {
        let Some(account) = self.accounts.get(number) else { return Err(gone(number)) };
        if account.is_default {
            return Err(ApiError::invalid("The account is default and can't be removed".to_owned()));
        }
        let (uuid, name) = (account.uuid, account.name.clone());
        let owner = self.users.get(by.user).map_or(0, |user| user.account);
        let plan = format!("Deleting user Account {name} (ID: {uuid}) and all corresponding users");
        let story =
            Story::about("ACCOUNT.DELETE", Resource::Account, uuid, format!("deleting account. Account ID: {uuid}"));
        self.tell_job(by, &story, plan, owner, false);
        self.remove_account(number);
        Ok(())
    }

    /// Takes an account and its users away without a word.
    pub(crate) fn remove_account(&mut self, number: u32) {
        let users = self.accounts.remove(number).map(|account| account.users.clone()).unwrap_or_default();
        for user in users {
            self.remove_user(user);
        }
    }
}

/// The error for an account that is no more, as it was recorded.
pub(crate) fn gone(number: u32) -> ApiError {
    ApiError::invalid(format!("Unable to find account by id {number}"))
}
