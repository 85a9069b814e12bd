//! The console in a real browser.

mod keys;
mod sign_on;
