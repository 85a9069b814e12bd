//! What keeps secrets secret at rest: the key ring, values sealed under it, keyed hashes, and new random secrets.
//!
//! A secret that must be shown again (an access key's) is sealed; one that is only compared (a session token, a generated
//! service password) is kept as a keyed hash. Without the ring neither can be used, so a copy of the database alone is worthless.

mod ring;
mod seal;

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use futures::FutureExt;
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

pub(crate) use ring::{HashLabel, KeyRing};
pub(crate) use seal::Place;

/// Seals a value under a key that is not of the ring.
pub(crate) fn seal_under(key: &[u8; 32], place: Place<'_>, value: &[u8]) -> Result<Vec<u8>> {
    seal::seal(&seal::cipher(key)?, KEY_ID_OUTSIDE, place, value)
}

/// Opens a value sealed under a key that is not of the ring.
pub(crate) fn open_under(key: &[u8; 32], place: Place<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    seal::key_id(place, sealed)?;
    seal::open(&seal::cipher(key)?, place, sealed)
}

use crate::metadata::{Db, store_info};
use crate::{AccessKeyId, Result};

/// Stands where a sealed value names the key of the ring, when it is under none of them.
const KEY_ID_OUTSIDE: u32 = 0;

/// The line of `store_info` by which a start sees whether ring and database belong together.
pub(crate) const RING_CHECK: &str = "ring_check";

/// Opens the ring of a database; a new database gets a new ring. Refuses a ring that is not the database's own.
pub(crate) async fn open_ring(db: &Db, key_file: &Path) -> Result<KeyRing> {
    let known = db.read("find_ring_check", |tx| store_info::find(tx, RING_CHECK).boxed()).await?;
    let ring = KeyRing::open_or_create(key_file, known.is_none())?;
    if let Some(check_value) = known {
        ring.confirm(&check_value)?;
        return Ok(ring);
    }
    let check_value = ring.check_value()?;
    db.write("set_ring_check", move |tx| {
        let check_value = check_value.clone();
        async move { store_info::set(tx, RING_CHECK, &check_value).await }.boxed()
    })
    .await?;
    Ok(ring)
}

/// A new access key: 20 lower-case hexadecimal digits.
pub(crate) fn new_access_key() -> AccessKeyId {
    AccessKeyId::stored(hex::encode(rand::random::<[u8; 10]>()))
}

/// A new secret key: 40 characters of base64.
pub(crate) fn new_secret_key() -> SecretString {
    SecretString::from(STANDARD.encode(rand::random::<[u8; 30]>()))
}

/// A new token of 32 random bytes, safe in a cookie, a form and a URL.
pub(crate) fn new_token() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn new_secrets_have_their_shape_and_differ() {
        let key = new_access_key();
        assert_eq!(key.as_str().len(), 20);
        assert!(key.as_str().bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)));
        let secret = new_secret_key();
        assert_eq!(secret.expose_secret().len(), 40);
        assert!(secret.expose_secret().bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/')));
        assert_eq!(new_token().len(), 43);
        assert_ne!(new_access_key(), key);
        assert_ne!(new_secret_key().expose_secret(), secret.expose_secret());
        assert_ne!(new_token(), new_token());
    }
}
