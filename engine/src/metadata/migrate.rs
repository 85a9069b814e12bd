//! Brings a database's schema up to date: one folder of migrations for each kind of database.

use std::sync::LazyLock;

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{PgConnection, SqlSafeStr, SqliteConnection};

use crate::{Error, Result};

/// The migrations of a folder. The driver's own macro would have the driver and its C code compiled a second time, for the compiler's use.
macro_rules! migrations {
    ($folder:literal) => {
        migrations!($folder: 1 "first", 2 "leftovers", 3 "durability", 4 "bucket_settings", 5 "uploads", 6 "encryption", 7 "iam",
                    8 "event_outbox", 9 "session_chains")
    };
    ($folder:literal: $($version:literal $name:literal),*) => {
        LazyLock::new(|| Migrator::with_migrations(vec![$(Migration::new(
            $version,
            $name.replace('_', " ").into(),
            MigrationType::Simple,
            include_str!(concat!("migrations/", $folder, "/000", $version, "_", $name, ".sql")).into_sql_str(),
            false,
        )),*]))
    };
}

static SQLITE: LazyLock<Migrator> = migrations!("sqlite");
static POSTGRES: LazyLock<Migrator> = migrations!("postgres");

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_migration_is_forgotten() {
        for (folder, migrator) in [("sqlite", &*SQLITE), ("postgres", &*POSTGRES)] {
            let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/metadata/migrations").join(folder);
            let files = std::fs::read_dir(folder).expect("the folder").count();
            let versions: Vec<i64> = migrator.iter().map(|migration| migration.version).collect();
            assert_eq!(versions, (1..=i64::try_from(files).expect("a number")).collect::<Vec<_>>());
        }
    }
}
