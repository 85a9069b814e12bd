//! The console's pages, driven as a browser would, over a real engine in a directory of its own.

mod credentials;
mod files;
mod harness;
mod login;
mod operator;
mod plain;
mod rules;
mod sign_on;
