//! How CloudStack's tenants are called in the store, as its own plug-in calls them.

use crate::cloudstack::{Account, Domain};

/// The account type of project accounts, which are no tenants.
const PROJECT_ACCOUNT: i64 = 5;

/// The name of a domain's group: the path below ROOT with a slash at both ends (`/acme/dev/`, and `/` for ROOT).
pub(crate) fn group_name(path: &str) -> String {
    match path.split_once('/') {
        None => "/".to_owned(),
        Some((_, below)) => format!("/{}/", below.trim_matches('/')),
    }
}

/// The name of an account's user: `First Last (account)` of its first user.
pub(crate) fn full_name(account: &Account) -> String {
    match account.users.first() {
        Some(user) => format!("{} {} ({})", user.first_name, user.last_name, account.name),
        None => account.name.clone(),
    }
}

/// The address of an account's first user; empty when there is none.
pub(crate) fn email(account: &Account) -> String {
    account.users.first().and_then(|user| user.email.clone()).unwrap_or_default()
}

/// True for CloudStack's own `admin`, who becomes the console's admin. The name alone is not enough: a tenant may be
/// called admin, too.
pub(crate) fn is_root_admin(account: &Account) -> bool {
    account.name == "admin"
        && account.role_type.as_deref() == Some("Admin")
        && account.role_name.as_deref() == Some("Root Admin")
}

/// True when the account gets a user of its own.
pub(crate) fn is_provisioned(account: &Account) -> bool {
    !is_root_admin(account) && account.account_type != PROJECT_ACCOUNT
}

/// True for the domain above all others.
pub(crate) fn is_root(domain: &Domain) -> bool {
    domain.level == 0 && domain.parent_id.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorded;

    #[test]
    fn paths_become_names_with_slashes_at_both_ends() {
        for (path, name) in [
            ("ROOT", "/"),
            ("ROOT/acme", "/acme/"),
            ("ROOT/acme/dev", "/acme/dev/"),
            ("ROOT/acme/research & development", "/acme/research & development/"),
            ("ROOT/Größe-東京", "/Größe-東京/"),
        ] {
            assert_eq!(group_name(path), name);
        }
    }

    fn account(name: &str) -> Account {
        let recording = recorded::json("cloudstack-4.23/list-accounts-minimal.json");
        let accounts = recording["answer"]["body"]["listaccountsresponse"]["account"].as_array().unwrap();
        let found = accounts.iter().find(|account| account["name"] == name).unwrap();
        serde_json::from_value(found.clone()).unwrap()
    }

    #[test]
    fn names_are_those_that_the_stock_plug_in_sent() {
        let ada = account("ada");
        assert_eq!((full_name(&ada).as_str(), email(&ada).as_str()), ("Ada Byron (ada)", "ada@acme.example"));
        let mut nobody = account("josé");
        assert_eq!(full_name(&nobody), "José Núñez (josé)");
        nobody.users.clear();
        assert_eq!((full_name(&nobody).as_str(), email(&nobody).as_str()), ("josé", ""));
    }

    #[test]
    fn only_the_built_in_admin_is_the_root_admin() {
        let recording = recorded::json("cloudstack-4.23/list-accounts-minimal.json");
        let accounts = recording["answer"]["body"]["listaccountsresponse"]["account"].as_array().unwrap();
        let accounts: Vec<Account> =
            accounts.iter().map(|account| serde_json::from_value(account.clone()).unwrap()).collect();
        assert_eq!(accounts.iter().filter(|account| account.name == "admin").count(), 2);
        let admins: Vec<_> = accounts.iter().filter(|account| is_root_admin(account)).collect();
        assert_eq!(admins.len(), 1);
        assert_eq!(admins[0].users[0].email.as_deref(), Some("admin@mailprovider.com"));
    }
}
