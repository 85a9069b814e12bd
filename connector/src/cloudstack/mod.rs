//! CloudStack's management API: signing, calling, and reading its answers.

mod client;
mod error;
mod session;
mod sign;
mod wire;

pub(crate) use self::{
    client::{CallerCookies, Cloud, is_uuid},
    error::CloudError,
    wire::{Account, Configuration, Domain, Event, Listed, Page},
};
