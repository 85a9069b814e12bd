//! The file of a pack: its head, and where in it something stands.

use std::io;

use super::place::{PackNumber, Place};
use crate::bytes::format::{self, HEAD_BYTES, PAGE_BYTES, crc32c, le32, le64};
use crate::disk::DiskFile;
use crate::names::BlobId;

const MAGIC: &[u8; 8] = b"CHPACK\r\n";
const VERSION: u32 = 1;
/// Where the head's own checksum stands.
const CHECK_AT: usize = HEAD_BYTES as usize - 4;
/// Longer fragments are told as several.
const FRAGMENT_BYTES_MAX: u64 = 1 << 20;
/// Bytes that are looked through at once for one that is not zero.
const LOOK_BYTES: u64 = 64 << 10;

/// The head of a new pack.
pub(super) fn head(number: PackNumber, full_bytes: u64) -> Vec<u8> {
    let mut head = vec![0_u8; HEAD_BYTES as usize];
    head[..8].copy_from_slice(MAGIC);
    head[8..12].copy_from_slice(&VERSION.to_le_bytes());
    head[12..17].copy_from_slice(number.as_bytes());
    head[20..28].copy_from_slice(&full_bytes.to_le_bytes());
    let check = crc32c(&head[..CHECK_AT]);
    head[CHECK_AT..].copy_from_slice(&check.to_le_bytes());
    head
}

/// The length that a pack has while it is appended to, as its head says; `None` when the head is damaged or of another pack.
pub(super) fn full_bytes(file: &dyn DiskFile, number: PackNumber) -> io::Result<Option<u64>> {
    let head = page(file, 0)?;
    let is_whole = head[..8] == *MAGIC && crc32c(&head[..CHECK_AT]) == le32(&head, CHECK_AT);
    let is_known = le32(&head, 8) == VERSION && head[12..17] == *number.as_bytes();
    Ok((is_whole && is_known).then(|| le64(&head, 20)))
}

/// The page at a place.
pub(super) fn page(file: &dyn DiskFile, start: u64) -> io::Result<Vec<u8>> {
    let mut page = vec![0_u8; PAGE_BYTES as usize];
    file.read_exact_at(&mut page, start)?;
    Ok(page)
}

/// Whether any byte of a range is not zero. Holes that were filled with zeros when somebody copied the file count as none.
pub(super) fn has_data(file: &dyn DiskFile, start: u64, end: u64) -> io::Result<bool> {
    // Mostly the first page is a head. Only zeros that somebody filled in are many.
    let (mut at, mut step, mut buffer) = (start, PAGE_BYTES, Vec::new());
    while let Some(data) = file.next_data(at)? {
        at = data.start.max(at);
        while at < data.end.min(end) {
            let next = (at + step).min(data.end).min(end);
            if is_set(file, at, next, &mut buffer)? {
                return Ok(true);
            }
            (at, step) = (next, LOOK_BYTES);
        }
        if at >= end {
            break;
        }
    }
    Ok(false)
}

/// The end of the last page that has a byte other than zero, up to a place.
pub(super) fn data_end(file: &dyn DiskFile, end_max: u64) -> io::Result<u64> {
    let (mut at, mut regions, mut buffer) = (0, Vec::new(), Vec::new());
    while let Some(data) = file.next_data(at)? {
        at = data.end;
        regions.push(data.start.min(end_max)..data.end.min(end_max));
    }
    for data in regions.iter().rev() {
        let mut end = data.end;
        while end > data.start {
            let start = (end - 1) / PAGE_BYTES * PAGE_BYTES;
            if is_set(file, start.max(data.start), end, &mut buffer)? {
                return Ok(start + PAGE_BYTES);
            }
            end = start;
        }
    }
    Ok(0)
}

fn is_set(file: &dyn DiskFile, start: u64, end: u64, buffer: &mut Vec<u8>) -> io::Result<bool> {
    buffer.resize(usize::try_from(end - start).unwrap_or_default(), 0);
    file.read_exact_at(buffer, start)?;
    Ok(buffer.iter().any(|byte| *byte != 0))
}

/// What lies in a pack.
#[derive(Default)]
pub(super) struct Found {
    pub(super) ids: Vec<BlobId>,
    /// Places with bytes that no head tells anything of.
    pub(super) fragments: Vec<Place>,
}

impl Found {
    fn add_fragment(&mut self, pack: PackNumber, start: u64) {
        match self.fragments.last_mut() {
            Some(last) if last.start + last.length_bytes == start && last.length_bytes < FRAGMENT_BYTES_MAX => {
                last.length_bytes += PAGE_BYTES;
            }
            Some(_) | None => self.fragments.push(Place { pack, start, length_bytes: PAGE_BYTES }),
        }
    }
}

/// Looks through a pack; the first failure comes along: a page that cannot be read hides no other. A head counts only where its id says
/// that it is.
pub(super) fn look_through(file: &dyn DiskFile, number: PackNumber) -> (Found, io::Result<()>) {
    let (mut at, mut found, mut looked) = (HEAD_BYTES, Found::default(), Ok(()));
    loop {
        let data = match file.next_data(at) {
            Ok(Some(data)) => data,
            Ok(None) => return (found, looked),
            Err(error) => return (found, looked.and(Err(error))),
        };
        at = at.max(data.start / PAGE_BYTES * PAGE_BYTES);
        while at < data.end {
            let mut length_bytes = PAGE_BYTES;
            match page(file, at) {
                Ok(page) => match blob_at(&page, number, at) {
                    Some((id, place)) => {
                        found.ids.push(id);
                        length_bytes = place.length_bytes;
                    }
                    None if page.iter().any(|byte| *byte != 0) => found.add_fragment(number, at),
                    None => {}
                },
                // The pack is cut off here, or is being sealed.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return (found, looked),
                Err(error) => looked = looked.and(Err(error)),
            }
            at += length_bytes;
        }
    }
}

fn blob_at(head: &[u8], number: PackNumber, start: u64) -> Option<(BlobId, Place)> {
    let id = format::id_of_head(head)?;
    let place = Place::of(id)?;
    (place.pack == number && place.start == start && place.length_bytes > 0).then_some((id, place))
}

/// Takes bytes away. Where the file system cannot, they become zero and keep their room.
pub(super) fn punch(file: &dyn DiskFile, start: u64, length_bytes: u64) -> io::Result<()> {
    match file.punch_hole(start, length_bytes) {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => {
            let zeros = vec![0_u8; usize::try_from(length_bytes).unwrap_or_default()];
            file.write_at(&zeros, start)
        }
        punched => punched,
    }
}
