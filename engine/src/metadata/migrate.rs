//! Brings a database's schema up to date: one folder of migrations for each kind of database.

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{PgConnection, SqliteConnection};

use crate::{Error, Result};

static SQLITE: Migrator = sqlx::migrate!("src/metadata/migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("src/metadata/migrations/postgres");

pub(super) async fn sqlite(connection: &mut SqliteConnection) -> Result<()> {
    SQLITE.run_direct(None, connection, false).await.map_err(unusable)
}

/// Several nodes may start at once; the migrator's advisory lock lets one go first.
pub(super) async fn postgres(connection: &mut PgConnection) -> Result<()> {
    POSTGRES.run_direct(None, connection, false).await.map_err(unusable)
}

fn unusable(error: MigrateError) -> Error {
    match error {
        MigrateError::VersionMissing(version) => Error::Unusable(format!(
            "the database has schema version {version}, which a newer Cloudhold wrote; start that one"
        )),
        error => Error::Unusable(format!("the database's schema could not be brought up to date: {error}")),
    }
}
