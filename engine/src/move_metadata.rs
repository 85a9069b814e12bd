//! Moves the metadata of a store from SQLite in its data directory into PostgreSQL. The blobs stay where they are.

use std::path::PathBuf;

use crate::metadata::{FILE, TableCopied, move_to_postgres};
use crate::settings::Database;
use crate::{Caller, Error, PostgresSettings, Result, Settings, data_dir};

/// What was moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataMoved {
    /// The tables, with their rows.
    pub tables: Vec<TableCopied>,
    /// Where the old database lies now; nothing reads it any more.
    pub kept: PathBuf,
}

/// Moves the metadata into the PostgreSQL database of the settings, which must have no store yet. Only who operates the machine may ([`Error::AccessDenied`]), and nobody may have the store open
/// ([`Error::Locked`]).
///
/// All rows arrive in one transaction. When it was committed, and the program died before it put the old database aside, a second call
/// finds the same store there and only does that.
pub async fn move_metadata(caller: &Caller, settings: &Settings) -> Result<MetadataMoved> {
    caller.must_operate()?;
    let Database::Postgres(postgres) = &settings.database else {
        return Err(Error::Unusable("no PostgreSQL database is configured; set data.postgres_url".to_owned()));
    };
    let file = settings.data_dir.join(FILE);
    if !file.exists() {
        return Err(Error::Unusable(format!("there is no {} to be moved", file.display())));
    }
    let _lock = data_dir::make_and_lock(&*settings.disk, &settings.data_dir)?;
    let tables = copy(settings, postgres).await?;
    let kept = put_aside(settings, &file)?;
    Ok(MetadataMoved { tables, kept })
}

async fn copy(settings: &Settings, postgres: &PostgresSettings) -> Result<Vec<TableCopied>> {
    let from = Settings { database: Database::Embedded, ..settings.clone() };
    move_to_postgres(&from, postgres).await
}

/// The old database gets another name, so that no start finds it by mistake. Its log is empty once it was closed.
fn put_aside(settings: &Settings, file: &std::path::Path) -> Result<PathBuf> {
    let kept = settings.data_dir.join(format!("{FILE}.moved-{}", settings.clock.now_us()));
    for ending in ["-wal", "-shm"] {
        let beside = settings.data_dir.join(format!("{FILE}{ending}"));
        if beside.metadata().is_ok_and(|meta| ending == "-wal" && meta.len() > 0) {
            return Err(Error::Unusable(format!("{} still has changes; start again", beside.display())));
        }
    }
    settings.disk.rename(file, &kept).map_err(|e| Error::io("putting the old database aside", e))?;
    data_dir::sync(&*settings.disk, &settings.data_dir)?;
    Ok(kept)
}
