//! The console in a real browser.

mod sign_on;
