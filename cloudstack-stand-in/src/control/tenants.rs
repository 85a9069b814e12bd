//! Changes of tenants and settings.

use super::{Control, ControlError, find, first_user, missing};
use crate::Cloud;
use crate::change::{Named, NewAccount, UserChange};
use crate::cloud::{Person, roles};

impl Control {
    /// Makes a domain below another and gives its uuid.
    ///
    /// # Errors
    /// When the parent is not there or has a child of that name.
    pub fn create_domain(&self, parent: &str, name: &str) -> Result<String, ControlError> {
        self.change(|cloud, by| {
            let parent = find(&cloud.domains, "domain", parent)?;
            let number = cloud.create_domain(by, name, parent)?;
            Ok(cloud.domains.get(number).map(|domain| domain.uuid.to_string()).unwrap_or_default())
        })
    }

    /// Renames a domain.
    ///
    /// # Errors
    /// When it is not there, or ROOT.
    pub fn rename_domain(&self, domain: &str, name: &str) -> Result<(), ControlError> {
        self.change(|cloud, by| Ok(cloud.rename_domain(by, find(&cloud.domains, "domain", domain)?, name)?))
    }

    /// Puts a domain below another parent.
    ///
    /// # Errors
    /// When one of them is not there, or it would stand below itself.
    pub fn move_domain(&self, domain: &str, parent: &str) -> Result<(), ControlError> {
        self.change(|cloud, by| {
            let parent = find(&cloud.domains, "domain", parent)?;
            Ok(cloud.move_domain(by, find(&cloud.domains, "domain", domain)?, parent)?)
        })
    }

    /// Deletes a domain, with everything in and below it when `cleanup` is set.
    ///
    /// # Errors
    /// When it is not there, or not empty and without `cleanup`.
    pub fn delete_domain(&self, domain: &str, cleanup: bool) -> Result<(), ControlError> {
        self.change(|cloud, by| {
            let domain = find(&cloud.domains, "domain", domain)?;
            cloud.delete_domain(by, domain, cleanup).map_err(ControlError)
        })
    }

    /// Makes an ordinary account with one user of the same name, and gives the account's uuid.
    ///
    /// # Errors
    /// When the domain is not there or has such an account.
    pub fn create_account(&self, domain: &str, name: &str) -> Result<String, ControlError> {
        self.create_account_as(domain, name, "User", "First", "Last", &format!("{name}@example.com"))
    }

    /// Makes an account with a role such as `Domain Admin` and the person behind its first user.
    ///
    /// # Errors
    /// When the domain or the role is not there, or the domain has such an account.
    pub fn create_account_as(
        &self,
        domain: &str,
        name: &str,
        role: &str,
        first_name: &str,
        last_name: &str,
        email: &str,
    ) -> Result<String, ControlError> {
        self.change(|cloud, by| {
            let domain = find(&cloud.domains, "domain", domain)?;
            let index = roles().iter().position(|known| known.name == role);
            let role = index.ok_or_else(|| missing("role", role))?;
            let new = NewAccount {
                name: name.to_owned(),
                domain,
                role,
                person: person(name, first_name, last_name, email),
                password: None,
            };
            let number = cloud.create_account(by, new)?;
            Ok(cloud.accounts.get(number).map(|account| account.uuid.to_string()).unwrap_or_default())
        })
    }

    /// Renames an account.
    ///
    /// # Errors
    /// When it is not there, or its domain has an account of that name.
    pub fn rename_account(&self, account: &str, name: &str) -> Result<(), ControlError> {
        self.change(|cloud, by| Ok(cloud.rename_account(by, find(&cloud.accounts, "account", account)?, name)?))
    }

    /// Disables an account.
    ///
    /// # Errors
    /// When it is not there.
    pub fn disable_account(&self, account: &str) -> Result<(), ControlError> {
        self.change(|cloud, by| Ok(cloud.disable_account(by, named(cloud, account)?, false)?))
    }

    /// Locks an account.
    ///
    /// # Errors
    /// When it is not there.
    pub fn lock_account(&self, account: &str) -> Result<(), ControlError> {
        self.change(|cloud, by| Ok(cloud.disable_account(by, named(cloud, account)?, true)?))
    }

    /// Enables an account that was disabled or locked.
    ///
    /// # Errors
    /// When it is not there.
    pub fn enable_account(&self, account: &str) -> Result<(), ControlError> {
        self.change(|cloud, by| Ok(cloud.enable_account(by, named(cloud, account)?)?))
    }

    /// Deletes an account with its users.
    ///
    /// # Errors
    /// When it is not there, or the root admin's own.
    pub fn delete_account(&self, account: &str) -> Result<(), ControlError> {
        self.change(|cloud, by| Ok(cloud.delete_account(by, find(&cloud.accounts, "account", account)?)?))
    }

    /// Adds a user to an account and gives the user's uuid.
    ///
    /// # Errors
    /// When the account is not there, or the domain has a user of that name.
    pub fn create_user(
        &self,
        account: &str,
        username: &str,
        first_name: &str,
        last_name: &str,
        email: &str,
    ) -> Result<String, ControlError> {
        self.change(|cloud, by| {
            let account = find(&cloud.accounts, "account", account)?;
            let person = person(username, first_name, last_name, email);
            let number = cloud.create_user(by, account, person, None)?;
            Ok(cloud.users.get(number).map(|user| user.uuid.to_string()).unwrap_or_default())
        })
    }

    /// Changes name and e-mail of an account's first user.
    ///
    /// # Errors
    /// When the account is not there, or has no user.
    pub fn update_first_user(
        &self,
        account: &str,
        first_name: &str,
        last_name: &str,
        email: &str,
    ) -> Result<(), ControlError> {
        self.change(|cloud, by| {
            let user = first_user(cloud, account)?;
            let change = UserChange {
                first_name: Some(first_name.to_owned()),
                last_name: Some(last_name.to_owned()),
                email: Some(email.to_owned()),
                password: None,
            };
            Ok(cloud.update_user(by, user, change)?)
        })
    }

    /// Deletes an account's first user.
    ///
    /// # Errors
    /// When the account is not there, or has no user.
    pub fn delete_first_user(&self, account: &str) -> Result<(), ControlError> {
        self.change(|cloud, by| Ok(cloud.delete_user(by, first_user(cloud, account)?)?))
    }

    /// Sets a global setting, without an event.
    ///
    /// # Errors
    /// When there is no such setting or the value is of the wrong type.
    pub fn set_setting(&self, name: &str, value: &str) -> Result<(), ControlError> {
        self.change(|cloud, _| {
            let setting = cloud.settings.iter_mut().find(|setting| setting.name == name);
            setting.ok_or_else(|| missing("setting", name))?.set(value).map_err(ControlError)
        })
    }

    /// Changes write no events from now on, or do again: lost events.
    pub fn suppress_events(&self, suppress: bool) {
        self.core().cloud.quiet = suppress;
    }

    /// moveDomain through the API answers the new path but changes nothing, as was once recorded.
    pub fn moves_do_not_stick(&self, refuse: bool) {
        self.core().cloud.moves_do_not_stick = refuse;
    }
}

fn named(cloud: &Cloud, account: &str) -> Result<Named, ControlError> {
    Ok(Named { account: find(&cloud.accounts, "account", account)?, by_name: true })
}

fn person(username: &str, first_name: &str, last_name: &str, email: &str) -> Person {
    Person {
        username: username.to_owned(),
        first_name: first_name.to_owned(),
        last_name: last_name.to_owned(),
        email: email.to_owned(),
    }
}
