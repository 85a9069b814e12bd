//! The connector: CloudStack's tenants become groups and users, through the commands of the real binary.

mod changes;
mod first_pass;
mod plugin;
mod proxy;
mod python;
mod safety;
