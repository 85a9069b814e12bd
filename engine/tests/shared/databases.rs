//! The database of a test: SQLite in the data directory, or PostgreSQL when that is asked for (see `test-databases`).

use engine::{Database, PostgresSettings};

/// The kind of database that the tests are run with; a new one each time.
pub(crate) fn database() -> Database {
    test_databases::asked_for().map_or(Database::Embedded, |url| postgres(&url))
}

/// A database of PostgreSQL.
pub(crate) fn postgres(url: &str) -> Database {
    Database::Postgres(PostgresSettings { url: url.to_owned().into(), connections_max: 8 })
}
