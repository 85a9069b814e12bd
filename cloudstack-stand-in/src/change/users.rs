//! Making, changing, disabling, enabling and deleting users, and their keys.

use uuid::Uuid;

use crate::Cloud;
use crate::answer::ApiError;
use crate::cloud::Person;
use crate::events::{By, Resource, Story};
use crate::model::{Keys, State};

/// What of a user changes; what is not given stays.
#[derive(Debug, Clone, Default)]
pub(crate) struct UserChange {
    pub(crate) first_name: Option<String>,
    pub(crate) last_name: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) password: Option<String>,
}

impl Cloud {
    pub(crate) fn username_is_free(&self, domain: u32, username: &str) -> Result<(), ApiError> {
        let in_domain = |account: u32| self.accounts.get(account).is_some_and(|account| account.domain == domain);
        let taken = self.users.rows().iter().any(|user| user.username == username && in_domain(user.account));
        if taken {
            return Err(ApiError::invalid(format!("The user {username} already exists in domain {domain}")));
        }
        Ok(())
    }

    /// Adds a user to an account.
    pub(crate) fn create_user(
        &mut self,
        by: By,
        account: u32,
        person: Person,
        password: Option<String>,
    ) -> Result<u32, ApiError> {
        let Some(domain) = self.accounts.get(account).map(|account| account.domain) else {
            return Err(ApiError::invalid(format!("Unable to find account by id {account}")));
        };
        self.username_is_free(domain, &person.username)?;
        let what = format!(
            "creating User. UserName: {}, FirstName :{}, LastName: {}",
            person.username, person.first_name, person.last_name
        );
        let uuid = self.ids.uuid();
        let user = self.add_user(uuid, account, person, by.at_s);
        if let Some(user) = self.users.get_mut(user) {
            user.password = password;
        }
        self.tell_completed(by, &Story::about("USER.CREATE", Resource::User, uuid, what));
        Ok(user)
    }

    /// Changes name, e-mail or password of a user.
    pub(crate) fn update_user(&mut self, by: By, number: u32, change: UserChange) -> Result<(), ApiError> {
        let Some(user) = self.users.get_mut(number) else { return Err(gone(number)) };
        let UserChange { first_name, last_name, email, password } = change;
        for (place, value) in
            [(&mut user.first_name, first_name), (&mut user.last_name, last_name), (&mut user.email, email)]
        {
            if let Some(value) = value {
                *place = value;
            }
        }
        user.password = password.or(user.password.take());
        let uuid = user.uuid;
        self.tell_completed(by, &about_user("USER.UPDATE", uuid, "Updating"));
        Ok(())
    }

    /// Disables a user; its account stays enabled.
    pub(crate) fn disable_user(&mut self, by: By, number: u32) -> Result<(), ApiError> {
        let Some(user) = self.users.get_mut(number) else { return Err(gone(number)) };
        user.state = State::Disabled;
        let (uuid, account) = (user.uuid, user.account);
        let plan = format!("Disabling User with ID: {uuid}");
        self.tell_job(by, &about_user("USER.DISABLE", uuid, "disabling"), plan, account, false);
        Ok(())
    }

    /// Enables a user again.
    pub(crate) fn enable_user(&mut self, by: By, number: u32) -> Result<(), ApiError> {
        let Some(user) = self.users.get_mut(number) else { return Err(gone(number)) };
        user.state = State::Enabled;
        let uuid = user.uuid;
        self.tell_completed(by, &about_user("USER.ENABLE", uuid, "enabling"));
        Ok(())
    }

    /// Deletes a user; its account may be left without any.
    pub(crate) fn delete_user(&mut self, by: By, number: u32) -> Result<(), ApiError> {
        let Some(user) = self.users.get(number) else { return Err(gone(number)) };
        if user.is_default {
            return Err(ApiError::invalid("The user is default and can't be removed".to_owned()));
        }
        let (uuid, account) = (user.uuid, user.account);
        self.remove_user(number);
        if let Some(account) = self.accounts.get_mut(account) {
            account.users.retain(|user| *user != number);
        }
        self.tell_completed(by, &about_user("USER.DELETE", uuid, "deleting"));
        Ok(())
    }

    /// Makes new keys for a user.
    pub(crate) fn register_keys(&mut self, by: By, number: u32) -> Result<Keys, ApiError> {
        let Some(user) = self.users.get(number) else { return Err(gone(number)) };
        let (uuid, account) = (user.uuid, user.account);
        let keys = Keys { api_key: self.ids.key(), secret_key: self.ids.key() };
        self.give_keys(number, keys.clone());
        let what = "register for the developer API keys".to_owned();
        let story = Story::about("REGISTER.USER.KEY", Resource::User, uuid, what);
        self.tell_job(by, &story, format!("Registering keys for User with ID: {uuid}"), account, false);
        Ok(keys)
    }

    pub(crate) fn remove_user(&mut self, number: u32) {
        self.users.remove(number);
        self.key_owners.retain(|_, owner| *owner != number);
    }
}

fn about_user(kind: &'static str, uuid: Uuid, verb: &str) -> Story {
    Story::about(kind, Resource::User, uuid, format!("{verb} User. User ID: {uuid}"))
}

fn gone(number: u32) -> ApiError {
    ApiError::invalid(format!("Unable to find user by id {number}"))
}
