//! That a database and a data directory belong together: both name the store by the same random id.
//!
//! A database on another machine could be opened with an empty directory, or with that of another store: then its objects would have no
//! bytes, and the orphan sweep would take the blobs of the other for lost ones.

use std::fs;
use std::path::Path;

use futures::FutureExt;

use crate::disk::Disk;
use crate::metadata::{Db, FILE, store_info};
use crate::settings::Database;
use crate::{Error, Result, Settings, data_dir, snapshots};

/// The file in the data directory, and the line of `store_info`.
pub(crate) const NAME: &str = "store_id";

/// Confirms that both name the same store; a new one gets its id.
pub(crate) async fn confirm(db: &Db, settings: &Settings) -> Result<()> {
    let in_database = db.read("find_store_id", |tx| store_info::find(tx, NAME).boxed()).await?;
    let file = settings.data_dir.join(NAME);
    let in_directory = read(&file)?;
    match (in_database, in_directory) {
        (Some(database), Some(directory)) if database == directory => Ok(()),
        (Some(_), Some(_)) => Err(unusable(&settings.data_dir, "belongs to another store than the database")),
        (Some(database), None) => match &settings.database {
            Database::Embedded => write(&*settings.disk, &file, &database),
            Database::Postgres(_) => Err(unusable(
                &settings.data_dir,
                "is empty or of another store, but the database has a store already; name the directory with its blobs",
            )),
        },
        (None, _) if matches!(settings.database, Database::Postgres(_)) && settings.data_dir.join(FILE).exists() => {
            Err(unusable(
                &settings.data_dir,
                "has its metadata in SQLite; move it into the PostgreSQL database with `cloudhold migrate-metadata`",
            ))
        }
        (None, _) if had_store(settings)? => Err(unusable(
            &settings.data_dir,
            "has blobs or snapshots, but the database is a new one; bring the database back, or let `cloudhold rebuild-index` restore it \
             from the last snapshot",
        )),
        (None, directory) => begin(db, settings, &file, directory).await,
    }
}

/// Whether the data directory was named before.
pub(crate) fn is_known(settings: &Settings) -> bool {
    settings.data_dir.join(NAME).exists()
}

/// Whether a store in the directory did something since it was begun. Its id alone says nothing: a first start may have been cut there.
fn had_store(settings: &Settings) -> Result<bool> {
    Ok(data_dir::has_blobs(&*settings.disk, &settings.data_dir)? || !snapshots::list(settings)?.is_empty())
}

/// Refuses a store that is not the one whose blobs lie in the data directory.
pub(crate) fn must_fit(settings: &Settings, id: Option<&str>) -> Result<()> {
    match (id, read(&settings.data_dir.join(NAME))?) {
        (Some(id), Some(directory)) if id != directory => {
            Err(unusable(&settings.data_dir, "belongs to another store than the snapshot"))
        }
        (Some(_) | None, Some(_) | None) => Ok(()),
    }
}

/// Names the store in a data directory that does not name one yet.
pub(crate) fn adopt(settings: &Settings, id: &str) -> Result<()> {
    must_fit(settings, Some(id))?;
    if is_known(settings) { Ok(()) } else { write(&*settings.disk, &settings.data_dir.join(NAME), id) }
}

/// Names a new store. The file comes first: a start that is cut in between finds it and goes on.
async fn begin(db: &Db, settings: &Settings, file: &Path, known: Option<String>) -> Result<()> {
    let id = match known {
        Some(id) => id,
        None => {
            let id = hex::encode(rand::random::<[u8; 16]>());
            write(&*settings.disk, file, &id)?;
            id
        }
    };
    db.write("set_store_id", move |tx| {
        let id = id.clone();
        async move { store_info::set(tx, NAME, &id).await }.boxed()
    })
    .await
}

fn read(file: &Path) -> Result<Option<String>> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("reading the id of the store", error)),
    }
}

fn write(disk: &dyn Disk, file: &Path, id: &str) -> Result<()> {
    let written = data_dir::write_durably(disk, file, format!("{id}\n").as_bytes());
    written.map_err(|e| Error::io("writing the id of the store", e))
}

fn unusable(directory: &Path, why: &str) -> Error {
    Error::Unusable(format!("the data directory {} {why}", directory.display()))
}
