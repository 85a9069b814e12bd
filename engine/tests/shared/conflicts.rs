//! Transactions that conflict, where the tests run on a database that has such.

use engine::Database;
use secrecy::ExposeSecret;

/// Lets some of the transactions of a database conflict.
pub(crate) fn inject_conflicts(database: &Database) {
    match database {
        Database::Embedded => {}
        Database::Postgres(settings) => test_databases::inject_conflicts(settings.url.expose_secret()),
    }
}
