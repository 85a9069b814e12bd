//! The console's pages, driven as a browser would, over a real engine in a directory of its own.

// Said so that the lints know it, too: helpers outside of test functions may unwrap.
#![cfg(test)]

mod credentials;
mod files;
mod harness;
mod login;
mod operator;
mod plain;
mod rules;
mod sign_on;
