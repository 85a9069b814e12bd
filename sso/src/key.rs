//! The key that the two sides of single sign-on share.

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha1::Sha1;

use crate::Error;

/// Keys that stand in public manuals and sources: whoever reads them could log in as anybody.
const PUBLISHED_KEYS: [&str; 1] = ["ss0sh5r3dk3y"];

/// The shared key. `Debug` does not show it, and it is wiped from memory when dropped.
#[derive(Debug, Clone)]
pub struct SharedKey(SecretString);

impl SharedKey {
    /// Takes a key as it stands in the settings of both sides; its UTF-8 bytes are the key of the HMAC.
    ///
    /// # Errors
    /// [`Error::EmptyKey`] for an empty or blank one, [`Error::PublishedKey`] for a known default.
    pub fn new(key: String) -> Result<Self, Error> {
        let secret = SecretString::from(key);
        let meant = secret.expose_secret().trim();
        if meant.is_empty() {
            return Err(Error::EmptyKey);
        }
        if PUBLISHED_KEYS.contains(&meant) {
            return Err(Error::PublishedKey);
        }
        Ok(Self(secret))
    }

    /// A key without the checks, because some of the published vectors were made with a published key.
    #[cfg(test)]
    pub(crate) fn unchecked(key: &str) -> Self {
        Self(SecretString::from(key))
    }

    /// The HMAC-SHA1 of a text under this key.
    pub(crate) fn mac(&self, text: &str) -> [u8; 20] {
        let mut mac =
            Hmac::<Sha1>::new_from_slice(self.0.expose_secret().as_bytes()).expect("HMAC takes keys of every length");
        mac.update(text.as_bytes());
        mac.finalize().into_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_and_published_keys_are_refused() {
        assert_eq!(SharedKey::new(String::new()).unwrap_err(), Error::EmptyKey);
        assert_eq!(SharedKey::new(" \n".to_owned()).unwrap_err(), Error::EmptyKey);
        assert_eq!(SharedKey::new("ss0sh5r3dk3y".to_owned()).unwrap_err(), Error::PublishedKey);
        assert_eq!(SharedKey::new("ss0sh5r3dk3y\n".to_owned()).unwrap_err(), Error::PublishedKey);
    }

    #[test]
    fn debug_does_not_show_the_key() {
        let key = SharedKey::new("top-secret-key".to_owned()).unwrap();
        assert!(!format!("{key:?}").contains("top-secret-key"));
    }
}
