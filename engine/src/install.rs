//! Puts a snapshot of the metadata in the place of a store's database, of either kind. What was there is put aside, never deleted.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::bytes::blocking;
use crate::disk::{Disk, ensure_dir};
use crate::metadata::snapshot::{self, Snapshot};
use crate::metadata::{FILE, look_at_postgres};
use crate::settings::Database;
use crate::{Error, PostgresSettings, Result, Settings, data_dir, stamp, store_id};

/// Where a database is that made way for another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OldDatabase {
    /// The files of the embedded one, in this folder.
    Folder(PathBuf),
    /// The tables, in this schema of the same PostgreSQL database.
    Schema(String),
}

impl fmt::Display for OldDatabase {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => folder.display().fmt(out),
            Self::Schema(schema) => write!(out, "the schema {schema} of the PostgreSQL database"),
        }
    }
}

/// Where the copy of the snapshot is written that becomes the database.
pub(crate) fn copy_path(settings: &Settings) -> PathBuf {
    settings.data_dir.join(format!("{FILE}.part"))
}

/// Refuses a PostgreSQL database that is in use, or that holds something when it may not be put aside: before anything is written.
pub(crate) async fn may_begin(settings: &Settings, force: bool) -> Result<()> {
    match &settings.database {
        Database::Embedded => Ok(()),
        Database::Postgres(postgres) => look_at_postgres(postgres, force).await,
    }
}

/// Makes the copy at [`copy_path`], which is durable, the database of the store. Until this is done, the old one is there.
pub(crate) async fn install(settings: &Settings, force: bool) -> Result<Option<OldDatabase>> {
    match &settings.database {
        Database::Embedded => {
            let settings = settings.clone();
            blocking(move || {
                let old = put_files_aside(&settings)?;
                place(&*settings.disk, &copy_path(&settings), &settings.data_dir)?;
                Ok(old.map(OldDatabase::Folder))
            })
            .await
        }
        Database::Postgres(postgres) => load(settings, postgres, force).await,
    }
}

async fn load(settings: &Settings, postgres: &PostgresSettings, force: bool) -> Result<Option<OldDatabase>> {
    let copy = copy_path(settings);
    let id = store_id_of(settings, &copy).await?;
    let id = id.ok_or_else(|| Error::corrupt("the snapshot does not name its store"))?;
    let stamp = stamp::of(settings.clock.now_us()).to_lowercase().replace('.', "_");
    let aside = force.then(|| format!("metadata_before_{stamp}"));
    let moved = snapshot::load(settings, &copy, postgres, aside.as_deref()).await?;
    settings.disk.remove(&copy).map_err(|e| Error::io("removing the copy of a snapshot", e))?;
    data_dir::sync(&*settings.disk, &settings.data_dir)?;
    // Last of all: without it the directory is refused, so that an old database is never used with the blobs of a back-up.
    store_id::adopt(settings, &id)?;
    Ok(aside.filter(|_| moved).map(OldDatabase::Schema))
}

/// The store that a snapshot is of.
pub(crate) async fn store_id_of(settings: &Settings, file: &Path) -> Result<Option<String>> {
    let mut opened = Snapshot::open(settings, file).await?;
    let id = opened.info(store_id::NAME).await;
    opened.close().await;
    id
}

/// Old files are never deleted: somebody may know how to read them.
fn put_files_aside(settings: &Settings) -> Result<Option<PathBuf>> {
    let (disk, data_dir) = (&*settings.disk, &settings.data_dir);
    let files: Vec<PathBuf> = snapshot::files(data_dir).into_iter().filter(|file| file.exists()).collect();
    if files.is_empty() {
        return Ok(None);
    }
    let failed = |e| Error::io("putting the old database aside", e);
    let folder = data_dir.join(format!("metadata-before-{}", stamp::of(settings.clock.now_us())));
    ensure_dir(disk, &folder).map_err(failed)?;
    for file in files {
        disk.rename(&file, &folder.join(file.file_name().unwrap_or_default())).map_err(failed)?;
    }
    for directory in [&folder, data_dir] {
        disk.open_dir(directory).and_then(|directory| directory.sync()).map_err(failed)?;
    }
    Ok(Some(folder))
}

/// Names the database and makes that durable.
fn place(disk: &dyn Disk, aside: &Path, data_dir: &Path) -> Result<()> {
    let placed = disk.rename(aside, &data_dir.join(FILE)).and_then(|()| disk.open_dir(data_dir)?.sync());
    placed.map_err(|e| Error::io("placing the database", e))
}
