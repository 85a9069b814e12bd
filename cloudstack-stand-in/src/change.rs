//! Changes of tenants, with the events that the real thing writes. Commands and tests go through the same ones.

mod accounts;
mod domains;
mod users;

pub(crate) use accounts::{Named, NewAccount};
pub(crate) use users::UserChange;
