//! The commands of the binary, as an operator meets them.

mod bucket;
mod demo;
mod doors;
mod refusals;
mod secondary_storage;
mod upkeep;
