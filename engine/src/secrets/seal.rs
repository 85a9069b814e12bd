//! The form of a sealed value: `format 1 | key id 4 | nonce 12 | AES-256-GCM ciphertext and tag`.
//!
//! The associated data names the table, column and row, so that a sealed value copied to another place does not open there.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use secrecy::zeroize::Zeroizing;

use crate::{Error, Result};

/// The first byte of a sealed value: its format.
const FORMAT: u8 = 1;
/// Bytes before the ciphertext.
const HEAD_SIZE_BYTES: usize = 1 + 4 + NONCE_LEN;

/// Where a sealed value lies. Never a secret: it is named in errors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    /// The table.
    pub(crate) table: &'a str,
    /// The column.
    pub(crate) column: &'a str,
    /// The row's primary key.
    pub(crate) row: &'a str,
}

impl Place<'_> {
    fn damaged(&self, why: &str) -> Error {
        Error::corrupt(format!("{}.{} of row {} {why}", self.table, self.column, self.row))
    }

    /// Each part with its length before it, so that no two places have the same bytes.
    fn associated_data(&self, key_id: u32) -> Vec<u8> {
        let mut data = vec![FORMAT];
        data.extend(key_id.to_be_bytes());
        for part in [self.table, self.column, self.row] {
            data.extend((part.len() as u64).to_be_bytes());
            data.extend(part.as_bytes());
        }
        data
    }
}

/// The cipher of one key of the ring.
pub(super) fn cipher(key: &[u8; 32]) -> Result<LessSafeKey> {
    let key = UnboundKey::new(&AES_256_GCM, key).map_err(|_| Error::Internal("the cipher took no key"))?;
    Ok(LessSafeKey::new(key))
}

/// Seals a value under a key for a place.
pub(super) fn seal(cipher: &LessSafeKey, key_id: u32, place: Place<'_>, value: &[u8]) -> Result<Vec<u8>> {
    let nonce: [u8; NONCE_LEN] = rand::random();
    let mut sealed = Vec::with_capacity(HEAD_SIZE_BYTES + value.len() + AES_256_GCM.tag_len());
    sealed.push(FORMAT);
    sealed.extend(key_id.to_be_bytes());
    sealed.extend(nonce);
    let mut text = Zeroizing::new(value.to_vec());
    let tag = cipher
        .seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(place.associated_data(key_id)),
            text.as_mut_slice(),
        )
        .map_err(|_| Error::Internal("a secret could not be sealed"))?;
    sealed.extend(text.iter());
    sealed.extend(tag.as_ref());
    Ok(sealed)
}

/// The id of the key under which a value was sealed.
pub(super) fn key_id(place: Place<'_>, sealed: &[u8]) -> Result<u32> {
    match sealed {
        [FORMAT, a, b, c, d, ..] if sealed.len() >= HEAD_SIZE_BYTES => Ok(u32::from_be_bytes([*a, *b, *c, *d])),
        [] | [_, ..] => Err(place.damaged("has an unknown format")),
    }
}

/// Opens a sealed value. Only called after [`key_id`] found its head whole.
pub(super) fn open(cipher: &LessSafeKey, place: Place<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    let key_id = key_id(place, sealed)?;
    let nonce = Nonce::try_assume_unique_for_key(&sealed[HEAD_SIZE_BYTES - NONCE_LEN..HEAD_SIZE_BYTES])
        .map_err(|_| place.damaged("has no nonce"))?;
    let mut text = Zeroizing::new(sealed[HEAD_SIZE_BYTES..].to_vec());
    let size_bytes = cipher
        .open_in_place(nonce, Aad::from(place.associated_data(key_id)), text.as_mut_slice())
        .map_err(|_| place.damaged("does not open with the key ring"))?
        .len();
    text.truncate(size_bytes);
    Ok(text)
}
