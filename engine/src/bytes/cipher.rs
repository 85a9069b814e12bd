//! Encryption of stored bytes: AES-256 in counter mode, which keeps sizes and offsets as they are, so that ranges, parts and copies that
//! share bytes work as without it. What is stored is verified by the same checksums as ever, which are over the encrypted bytes: scrubbing,
//! repair and back-up need no key.

use std::sync::Arc;

use aws_lc_rs::cipher::{AES_256, EncryptionContext, StreamingEncryptingKey, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use bytes::Bytes;
use crc_fast::{CrcAlgorithm, Digest as Crc};
use secrecy::zeroize::Zeroizing;

use super::BlobWriter;
use crate::{Error, Result};

/// Bytes of a block of the cipher.
const BLOCK_SIZE_BYTES: u64 = 16;
/// Bytes that are encrypted at once, so that a large chunk needs no second one of memory.
const STEP_SIZE_BYTES: usize = 64 << 10;

/// The key of one object's bytes.
#[derive(Clone)]
pub(crate) struct DataKey(Arc<Zeroizing<[u8; 32]>>);

impl DataKey {
    /// A new random key.
    pub(crate) fn random() -> Self {
        Self(Arc::new(Zeroizing::new(rand::random())))
    }

    /// A key that was sealed.
    pub(crate) fn of_bytes(bytes: &[u8]) -> Result<Self> {
        let bytes =
            <[u8; 32]>::try_from(bytes).map_err(|_| Error::corrupt("the key of an object has a wrong length"))?;
        Ok(Self(Arc::new(Zeroizing::new(bytes))))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// The cipher of a piece of the object. No two pieces under one key may have the same nonce.
    pub(crate) fn cipher(&self, nonce: Nonce) -> PieceCipher {
        PieceCipher { key: self.clone(), nonce }
    }
}

impl std::fmt::Debug for DataKey {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("DataKey")
    }
}

/// What keeps the pieces of one object apart: each begins a stream of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Nonce([u8; 8]);

impl Nonce {
    /// That of an object in one piece, whose key has no other.
    pub(crate) const ONLY: Self = Self([0; 8]);

    /// That of a part. The same part may be uploaded many times, so it is no number: 64 random bits meet again once in billions of parts.
    pub(crate) fn random() -> Self {
        Self(rand::random())
    }

    pub(crate) fn stored(bytes: &[u8]) -> Result<Self> {
        bytes.try_into().map(Self).map_err(|_| Error::corrupt("the nonce of a part has a wrong length"))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Encrypts and decrypts the bytes of one piece, which is the same in this mode.
#[derive(Clone, Debug)]
pub(crate) struct PieceCipher {
    key: DataKey,
    nonce: Nonce,
}

impl PieceCipher {
    /// The stream from the block of that number on.
    fn stream(&self, block: u64) -> Result<StreamingEncryptingKey> {
        let mut iv = [0; 16];
        iv[..8].copy_from_slice(&self.nonce.0);
        iv[8..].copy_from_slice(&block.to_be_bytes());
        UnboundCipherKey::new(&AES_256, self.key.bytes())
            .and_then(|key| StreamingEncryptingKey::less_safe_ctr(key, EncryptionContext::Iv128(FixedLength::from(iv))))
            .map_err(|_| Error::Internal("the cipher took no key"))
    }

    /// The bytes of the piece that begin at an offset, decrypted or encrypted.
    pub(crate) fn apply(&self, start: u64, bytes: &[u8]) -> Result<Bytes> {
        let skipped = to_usize(start % BLOCK_SIZE_BYTES);
        let mut stream = self.stream(start / BLOCK_SIZE_BYTES)?;
        let mut out = Vec::new();
        step(&mut stream, &[0; BLOCK_SIZE_BYTES as usize][..skipped], &mut out)?;
        out.clear();
        step(&mut stream, bytes, &mut out)?;
        Ok(Bytes::from(out))
    }
}

/// Appends what the stream makes of bytes.
fn step(stream: &mut StreamingEncryptingKey, bytes: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let before = out.len();
    // The library wants room for a block more than it writes in this mode.
    out.resize(before + bytes.len() + to_usize(BLOCK_SIZE_BYTES), 0);
    let update =
        stream.update(bytes, &mut out[before..]).map_err(|_| Error::Internal("bytes could not be encrypted"))?;
    let written = update.written().len();
    if written != bytes.len() {
        return Err(Error::Internal("the cipher changed the length of bytes"));
    }
    out.truncate(before + written);
    Ok(())
}

/// Where the bytes of a body go: to a blob, encrypted on the way where that is wanted.
pub(crate) struct Sink {
    writer: Box<dyn BlobWriter>,
    sealing: Option<Sealing>,
}

struct Sealing {
    stream: StreamingEncryptingKey,
    /// Of what is stored, which is not what came.
    crc64nvme: Crc,
    buffer: Vec<u8>,
}

impl Sink {
    pub(crate) fn new(writer: Box<dyn BlobWriter>, cipher: Option<&PieceCipher>) -> Result<Self> {
        let sealing = match cipher {
            Some(cipher) => {
                let crc64nvme = Crc::new(CrcAlgorithm::Crc64Nvme);
                Some(Sealing { stream: cipher.stream(0)?, crc64nvme, buffer: Vec::new() })
            }
            None => None,
        };
        Ok(Self { writer, sealing })
    }

    /// Appends bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let Some(sealing) = &mut self.sealing else { return self.writer.write(bytes) };
        for bytes in bytes.chunks(STEP_SIZE_BYTES) {
            sealing.buffer.clear();
            step(&mut sealing.stream, bytes, &mut sealing.buffer)?;
            sealing.crc64nvme.update(&sealing.buffer);
            self.writer.write(&sealing.buffer)?;
        }
        Ok(())
    }

    /// The CRC-64/NVME of what was stored, where that is not what came.
    pub(crate) fn crc64nvme(&self) -> Option<u64> {
        self.sealing.as_ref().map(|sealing| sealing.crc64nvme.finalize())
    }

    /// Makes the blob durable.
    pub(crate) fn finish(self) -> Result<()> {
        self.writer.finish()
    }
}

fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cipher() -> PieceCipher {
        DataKey::of_bytes(&[7; 32]).expect("32 bytes").cipher(Nonce::stored(&[1; 8]).expect("8 bytes"))
    }

    #[test]
    fn the_stream_is_that_of_the_standard() {
        // NIST SP 800-38A, F.5.5: CTR-AES256, whose first counter block is split here into nonce and number of the block.
        let key = hex::decode("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4").expect("hexadecimal");
        let nonce = Nonce::stored(&hex::decode("f0f1f2f3f4f5f6f7").expect("hexadecimal")).expect("8 bytes");
        let cipher = DataKey::of_bytes(&key).expect("32 bytes").cipher(nonce);
        let mut stream = cipher.stream(0xf8f9_fafb_fcfd_feff).expect("a stream");
        let mut out = Vec::new();
        let plain =
            hex::decode("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51").expect("hexadecimal");
        step(&mut stream, &plain, &mut out).expect("encrypted");
        assert_eq!(hex::encode(out), "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5");
    }

    #[test]
    fn any_range_decrypts_by_itself() {
        let plain: Vec<u8> = (0..1000_u32).map(|number| (number * 7 % 251) as u8).collect();
        let sealed = cipher().apply(0, &plain).expect("encrypted");
        assert_ne!(sealed[..], plain[..]);
        for (start, end) in [(0, 1000), (0, 1), (1, 17), (15, 16), (16, 32), (17, 999), (999, 1000)] {
            let range = cipher().apply(start as u64, &sealed[start..end]).expect("decrypted");
            assert_eq!(range[..], plain[start..end], "{start}..{end}");
        }
    }

    #[test]
    fn pieces_with_other_nonces_have_other_streams() {
        let key = DataKey::random();
        let of = |nonce| key.cipher(nonce).apply(0, &[0; 32]).expect("encrypted");
        assert_ne!(of(Nonce::ONLY), of(Nonce::random()));
        assert_ne!(of(Nonce::random()), of(Nonce::random()));
    }
}
