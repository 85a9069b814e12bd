//! Sign-on links at the console's door.

mod links;
