//! What the end-to-end tests stand on: the real binary with a data directory of its own, a stand-in CloudStack, other people's
//! clients as processes, and a browser. Everything ends with the test that started it, also when that test fails.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stderr, reason = "what a failed test's processes wrote must be seen")]

mod browser;
mod clients;
mod cloud;
mod content;
mod process;
mod s3;
mod server;

pub use browser::{Browser, test_id};
pub use clients::{Environment, Script, cargo_program, go, http, java, java_trust, javascript, root_folder};
pub use cloud::{Actual, CloudWorld, Person, Session, recording, without_time};
pub use content::{content, sha256, sha256_of_file};
pub use process::{Output, run};
pub use s3::{S3, S3Answer};
pub use server::{BASE_DOMAIN, Doors, FirstCredentials, Server, Tenant, binary};
