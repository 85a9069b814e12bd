//! Console passwords that people set: the rule, and argon2id with a short memory of what was verified.
//!
//! Hashing is made slow on purpose (some ten milliseconds and 19 MiB each), so it runs on blocking threads, only a few at a time, and
//! a password that was verified a moment ago is recognised without it.

use std::sync::Arc;
use std::time::Duration;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use aws_lc_rs::hmac;
use moka::sync::Cache;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;

use crate::{Error, Result};

/// Fewest and most characters of a password.
const CHARS: std::ops::RangeInclusive<usize> = 9..=64;
/// Of lower-case letters, upper-case letters, digits and the rest, how many kinds a password needs.
const KINDS_MIN: usize = 3;
/// Most hashes computed at once: each takes 19 MiB and a core.
const HASHES_AT_ONCE_MAX: usize = 4;
/// How long a verified password is recognised without hashing it again.
const VERIFIED_FOR: Duration = Duration::from_secs(300);
/// Most verified passwords that are remembered.
const VERIFIED_MAX: u64 = 10_000;
/// Verified in place of the hash of a user that does not exist, so that both take the same time. Fits no password: finding one would
/// mean inverting argon2.
const DUMMY: &str = "$argon2id$v=19$m=19456,t=2,p=1$Y2xvdWRob2xkLWR1bW15LQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Refuses a password that does not meet the rule: 9 to 64 characters, and three of lower, upper, digit and special.
pub(crate) fn check_rule(password: &SecretString) -> Result<()> {
    let text = password.expose_secret();
    if !CHARS.contains(&text.chars().count()) {
        return Err(Error::WeakPassword("must have 9 to 64 characters"));
    }
    let kinds: [fn(char) -> bool; 4] = [
        |c| c.is_lowercase(),
        |c| c.is_uppercase(),
        |c| c.is_numeric(),
        |c| !c.is_lowercase() && !c.is_uppercase() && !c.is_numeric(),
    ];
    if kinds.iter().filter(|kind| text.chars().any(**kind)).count() < KINDS_MIN {
        return Err(Error::WeakPassword("must hold three of: lower-case, upper-case, digit, special character"));
    }
    Ok(())
}

/// Hashes and verifies passwords.
pub(crate) struct Passwords {
    turns: Arc<Semaphore>,
    /// Keyed hashes of (stored hash, password) that were verified. The stored hash is part of it, so that a new password forgets the
    /// old one.
    verified: Cache<[u8; 32], ()>,
    /// Random, of this process alone.
    key: hmac::Key,
}

impl Passwords {
    pub(crate) fn new() -> Self {
        Self {
            turns: Arc::new(Semaphore::new(HASHES_AT_ONCE_MAX)),
            verified: Cache::builder().max_capacity(VERIFIED_MAX).time_to_live(VERIFIED_FOR).build(),
            key: hmac::Key::new(hmac::HMAC_SHA256, &rand::random::<[u8; 32]>()),
        }
    }

    /// The argon2id hash of a password, with a random salt, as a PHC string.
    pub(crate) async fn hash(&self, password: &SecretString) -> Result<String> {
        let password = password.clone();
        self.work(move || {
            let hash = Argon2::default().hash_password(password.expose_secret().as_bytes());
            hash.map(|hash| hash.to_string()).map_err(|_| Error::Internal("a password could not be hashed"))
        })
        .await
    }

    /// Whether the password fits the stored hash. Without one (no such user, no password set) it does the same work and says no.
    pub(crate) async fn verify(&self, stored: Option<&str>, password: &SecretString) -> Result<bool> {
        let memory = stored.map(|stored| self.memory(stored, password));
        if memory.is_some_and(|memory| self.verified.get(&memory).is_some()) {
            return Ok(true);
        }
        let (hash, password) = (stored.unwrap_or(DUMMY).to_owned(), password.clone());
        let fits = self
            .work(move || {
                let hash = PasswordHash::new(&hash).map_err(|_| Error::corrupt("passwords.hash is not a hash"))?;
                Ok(Argon2::default().verify_password(password.expose_secret().as_bytes(), &hash).is_ok())
            })
            .await?;
        match memory {
            Some(memory) if fits => {
                self.verified.insert(memory, ());
                Ok(true)
            }
            Some(_) | None => Ok(false),
        }
    }

    fn memory(&self, stored: &str, password: &SecretString) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&(stored.len() as u64).to_be_bytes());
        context.update(stored.as_bytes());
        context.update(password.expose_secret().as_bytes());
        let mut memory = [0; 32];
        memory.copy_from_slice(context.sign().as_ref());
        memory
    }

    async fn work<T: Send + 'static>(&self, hash: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        let turn = self.turns.clone().acquire_owned().await;
        let turn = turn.map_err(|_| Error::Internal("the password worker is closed"))?;
        let work = move || {
            // The turn ends with the work, not with the caller's patience: others could fill all threads otherwise.
            let _turn = turn;
            hash()
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| Error::Internal("the password worker stopped"))?
    }
}

impl std::fmt::Debug for Passwords {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Passwords")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn secret(text: &str) -> SecretString {
        SecretString::from(text)
    }

    #[test]
    fn the_rule_wants_length_and_three_kinds() {
        let longest = format!("aB3{}", "x".repeat(61));
        for good in ["Abcdefgh1", "abcdefg-1", "ABCDEFG-1", "Abcdefgh-", "pässwörD1", "Ab1 Ab1 Ab1", &longest] {
            assert!(check_rule(&secret(good)).is_ok(), "{good}");
        }
        let too_long = format!("aB3{}", "x".repeat(62));
        for bad in
            ["", "Abcdef1-", "abcdefghi", "abcdefgh1", "ABCDEFGH1", "abcdefgh-", "123456789-", "äöüäöüäö", &too_long]
        {
            assert!(matches!(check_rule(&secret(bad)), Err(Error::WeakPassword(_))), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_hash_fits_its_password_only_and_is_salted() {
        let passwords = Passwords::new();
        let right = secret("Correct-Horse-1");
        let hash = passwords.hash(&right).await.expect("a hash");
        assert!(hash.starts_with("$argon2id$v=19$"), "{hash}");
        assert_ne!(passwords.hash(&right).await.expect("a hash"), hash);
        assert!(!passwords.verify(Some(&hash), &secret("Correct-Horse-2")).await.expect("checked"));
        assert!(passwords.verify(Some(&hash), &right).await.expect("checked"));
        assert!(!passwords.verify(Some(&hash), &secret("Correct-Horse-2")).await.expect("checked"));
        assert!(!passwords.verify(None, &right).await.expect("checked"));
        assert!(matches!(passwords.verify(Some("plain"), &right).await, Err(Error::Corrupt(_))));
    }

    #[tokio::test]
    async fn a_verified_password_is_remembered_for_its_hash_only() {
        let passwords = Passwords::new();
        let right = secret("Correct-Horse-1");
        let hash = passwords.hash(&right).await.expect("a hash");
        assert!(passwords.verify(Some(&hash), &right).await.expect("checked"));
        let started = Instant::now();
        for _ in 0..1000 {
            assert!(passwords.verify(Some(&hash), &right).await.expect("checked"));
        }
        assert!(started.elapsed() < Duration::from_secs(2), "a thousand checks took {:?}", started.elapsed());
        let other = passwords.hash(&secret("Other-Horse-1")).await.expect("a hash");
        assert!(!passwords.verify(Some(&other), &right).await.expect("checked"));
    }

    #[tokio::test]
    async fn the_dummy_costs_what_a_fresh_hash_costs() {
        let cost = |hash: &str| hash.split('$').take(4).map(str::to_owned).collect::<Vec<_>>();
        let fresh = Passwords::new().hash(&secret("Correct-Horse-1")).await.expect("a hash");
        assert_eq!(cost(&fresh), cost(DUMMY));
        assert_eq!(fresh.len(), DUMMY.len());
        assert!(PasswordHash::new(DUMMY).is_ok());
    }
}
