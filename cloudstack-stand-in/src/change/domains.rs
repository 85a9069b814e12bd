//! Making, renaming, moving and deleting domains.

use std::collections::HashSet;

use serde_json::Value;

use crate::Cloud;
use crate::answer::ApiError;
use crate::cloud::ROOT_DOMAIN;
use crate::events::{By, Resource, Story};

impl Cloud {
    /// Makes a domain below another.
    pub(crate) fn create_domain(&mut self, by: By, name: &str, parent: u32) -> Result<u32, ApiError> {
        let taken = self.domains.rows().iter().any(|domain| domain.parent == Some(parent) && domain.name == name);
        let what = format!("creating Domain. Domain Name: {name}");
        if taken {
            let story =
                Story { kind: "DOMAIN.CREATE", resource: Resource::Domain, what, early_id: None, final_id: None };
            self.tell_failed(by, &story);
            let text = format!("Domain with name [{name}] already exists for the parent with ID [{parent}].");
            return Err(ApiError::invalid(text));
        }
        let uuid = self.ids.uuid();
        let number = self.add_domain(uuid, name.to_owned(), Some(parent), Some(by.at_s));
        self.tell_completed(by, &Story::about("DOMAIN.CREATE", Resource::Domain, uuid, what));
        Ok(number)
    }

    /// Gives a domain another name; the paths below it change with it.
    pub(crate) fn rename_domain(&mut self, by: By, number: u32, name: &str) -> Result<(), ApiError> {
        if number == ROOT_DOMAIN {
            return Err(ApiError::invalid("Domain with ID 1 can not be changed".to_owned()));
        }
        let Some(domain) = self.domains.get_mut(number) else { return Err(gone(number)) };
        name.clone_into(&mut domain.name);
        let uuid = domain.uuid;
        let what = format!("updating Domain. Domain ID: {uuid}");
        self.tell_completed(by, &Story::about("DOMAIN.UPDATE", Resource::Domain, uuid, what));
        Ok(())
    }

    /// Puts a domain below another parent. The event names the new parent only.
    pub(crate) fn move_domain(&mut self, by: By, number: u32, parent: u32) -> Result<(), ApiError> {
        let Some(new_parent) = self.domains.get(parent).map(|domain| domain.uuid) else { return Err(gone(parent)) };
        if number == ROOT_DOMAIN || self.is_within(parent, number) {
            let text = "The domain cannot be moved to itself or below itself, and ROOT cannot be moved.";
            return Err(ApiError::invalid(text.to_owned()));
        }
        let Some(domain) = self.domains.get_mut(number) else { return Err(gone(number)) };
        let old = domain.parent.replace(parent);
        if let Some(old) = old.and_then(|old| self.domains.get_mut(old)) {
            old.children = old.children.saturating_sub(1);
        }
        if let Some(new) = self.domains.get_mut(parent) {
            new.children += 1;
        }
        self.tell_completed(by, &Story::about("DOMAIN.MOVE", Resource::Domain, new_parent, "moving Domain".to_owned()));
        Ok(())
    }

    /// Deletes a domain, with everything in and below it when `cleanup` is given. What is below goes without events.
    /// An error is the text of the failed job.
    pub(crate) fn delete_domain(&mut self, by: By, number: u32, cleanup: bool) -> Result<(), String> {
        let Some(domain) = self.domains.get(number) else { return Err(gone(number).text) };
        let uuid = domain.uuid;
        let empty = domain.children == 0 && !self.accounts.rows().iter().any(|account| account.domain == number);
        let refused = number == ROOT_DOMAIN || !(empty || cleanup);
        let outcome = if refused {
            Err(format!(
                "Delete failed on domain {}; Please make sure all users and sub domains have been removed from the domain \
                 before deleting",
                self.domain_in_words(number)
            ))
        } else {
            self.remove_tree(number);
            Ok(())
        };
        let story =
            Story::about("DOMAIN.DELETE", Resource::Domain, uuid, format!("deleting Domain. Domain ID: {uuid}"));
        let owner = self.users.get(by.user).map_or(0, |user| user.account);
        self.tell_job(by, &story, format!("Deleting domain with ID: {uuid}"), owner, outcome.is_err());
        outcome
    }

    fn remove_tree(&mut self, top: u32) {
        let numbers = self.domains.rows().iter().map(|domain| domain.number);
        let domains: HashSet<u32> = numbers.filter(|number| self.is_within(*number, top)).collect();
        let inside = |account: &&crate::model::Account| domains.contains(&account.domain);
        let accounts: Vec<u32> = self.accounts.rows().iter().filter(inside).map(|account| account.number).collect();
        for account in accounts {
            self.remove_account(account);
        }
        if let Some(parent) = self.domains.get(top).and_then(|domain| domain.parent)
            && let Some(parent) = self.domains.get_mut(parent)
        {
            parent.children = parent.children.saturating_sub(1);
        }
        for domain in domains {
            self.domains.remove(domain);
        }
    }

    /// A domain as error texts show it: `Domain {"id":7,"name":"x","path":"\/x\/","uuid":"..."}`.
    pub(crate) fn domain_in_words(&self, number: u32) -> String {
        let Some(domain) = self.domains.get_or_gone(number) else { return String::new() };
        let path = Value::from(self.inner_path(number)).to_string().replace('/', "\\/");
        let name = Value::from(domain.name.as_str());
        format!(r#"Domain {{"id":{number},"name":{name},"path":{path},"uuid":"{}"}}"#, domain.uuid)
    }
}

fn gone(number: u32) -> ApiError {
    ApiError::invalid(format!("Unable to find domain by id {number}"))
}
