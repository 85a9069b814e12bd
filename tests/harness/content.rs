//! Content to store, and how it is compared.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use sha2::{Digest as _, Sha256};

/// Random bytes, the same each time for the same seed.
#[must_use]
pub fn content(size_bytes: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; size_bytes];
    SmallRng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes
}

/// SHA-256 in hexadecimal.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// SHA-256 of a file, in hexadecimal.
///
/// # Panics
/// When it cannot be read.
#[must_use]
pub fn sha256_of_file(path: &Path) -> String {
    let mut file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let size = file.read(&mut buffer).unwrap();
        if size == 0 {
            return hex::encode(hash.finalize());
        }
        hash.update(&buffer[..size]);
    }
}
