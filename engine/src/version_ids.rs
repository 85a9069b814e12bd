//! Ids of versions: opaque to whoever sees them, but the store reads from one where in the history of its key it stands, also when that
//! version is gone. So a client may delete what it lists, page by page, and misses nothing.

use aws_lc_rs::hmac;
use futures::FutureExt;

use crate::metadata::{Db, store_info};
use crate::names::VersionId;
use crate::{Error, Result};

/// The line of `store_info` that holds the key. It hides the order of versions from clients; who reads the database sees the order anyway.
const KEY: &str = "version_id_key";

/// Makes ids of versions and reads them.
///
/// An id is a random half, and the commit sequence number covered by a keyed hash of that half. No two numbers give the same id.
#[derive(Clone, Debug)]
pub(crate) struct VersionIds {
    key: hmac::Key,
}

impl VersionIds {
    /// Takes the key that the database has; a new database gets one.
    pub(crate) async fn load(db: &Db) -> Result<Self> {
        let known = db.read("find_version_id_key", |tx| store_info::find(tx, KEY).boxed()).await?;
        if let Some(key) = known {
            return Self::from_hex(&key);
        }
        let new_key = hex::encode(rand::random::<[u8; 32]>());
        let key = db
            .write("make_version_id_key", move |tx| {
                let new_key = new_key.clone();
                async move {
                    // Another process on the same database may have been faster.
                    if let Some(known) = store_info::find(tx, KEY).await? {
                        return Ok(known);
                    }
                    store_info::set(tx, KEY, &new_key).await?;
                    Ok(new_key)
                }
                .boxed()
            })
            .await?;
        Self::from_hex(&key)
    }

    fn from_hex(text: &str) -> Result<Self> {
        let key = hex::decode(text).map_err(|_| Error::corrupt("the key of version ids is not hexadecimal"))?;
        Ok(Self { key: hmac::Key::new(hmac::HMAC_SHA256, &key) })
    }

    /// A new id for the version of a commit sequence number.
    pub(crate) fn make(&self, seq: i64) -> VersionId {
        let half: u64 = rand::random();
        VersionId::stored(format!("{half:016x}{:016x}", seq.cast_unsigned() ^ self.cover(half)))
    }

    /// The commit sequence number in an id; any text of the right form gives some number. `null` has none.
    pub(crate) fn seq_of(&self, id: &VersionId) -> Option<i64> {
        let (half, covered) = id.as_str().split_at_checked(16)?;
        let half = u64::from_str_radix(half, 16).ok()?;
        let covered = u64::from_str_radix(covered, 16).ok()?;
        Some((covered ^ self.cover(half)).cast_signed())
    }

    fn cover(&self, half: u64) -> u64 {
        let tag = hmac::sign(&self.key, &half.to_be_bytes());
        tag.as_ref().iter().take(8).fold(0, |all, byte| (all << 8) | u64::from(*byte))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_tells_its_place_to_the_store_alone() {
        let ids = VersionIds::from_hex(&"5a".repeat(32)).unwrap();
        let others = VersionIds::from_hex(&"5b".repeat(32)).unwrap();
        for seq in [0, 1, 77, 1 << 40, i64::MAX] {
            let id = ids.make(seq);
            assert_eq!(VersionId::new(id.as_str()).unwrap(), id, "of the form that is taken from outside");
            assert_eq!(ids.seq_of(&id), Some(seq));
            assert_ne!(others.seq_of(&id), Some(seq));
            assert_ne!(ids.make(seq), id, "two ids of one number differ");
        }
        assert_eq!(ids.seq_of(&VersionId::null()), None);
    }

    #[test]
    fn the_order_of_ids_says_nothing_of_the_order_of_versions() {
        let ids = VersionIds::from_hex(&"5a".repeat(32)).unwrap();
        let made: Vec<VersionId> = (0..200).map(|seq| ids.make(seq)).collect();
        let ascending = made.windows(2).filter(|pair| pair[0] < pair[1]).count();
        assert!((50..150).contains(&ascending), "{ascending} of 199 ascend");
    }
}
