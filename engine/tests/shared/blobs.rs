//! The blobs of a data directory as they lie there, found without the engine: files of their own, and slots of packs.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

const PAGE_BYTES: usize = 4096;

/// A blob's id in hexadecimal, the file that it is in, and which bytes of that are the blob's.
pub(crate) type Place = (String, PathBuf, Range<usize>);

/// All blobs.
pub(crate) fn blobs(data_dir: &Path) -> Vec<Place> {
    let own = files(&data_dir.join("blobs")).into_iter().map(|path| {
        let length_bytes = usize::try_from(path.metadata().expect("a blob's file").len()).expect("a length");
        (name(&path), path, 0..length_bytes)
    });
    own.chain(packs(data_dir).into_iter().flat_map(|(slots, _)| slots)).collect()
}

/// The slots of each pack, and the pages with bytes that no head tells anything of.
pub(crate) fn packs(data_dir: &Path) -> Vec<(Vec<Place>, Vec<usize>)> {
    files(&data_dir.join("packs")).iter().map(|path| look_through(path)).collect()
}

fn files(directory: &Path) -> Vec<PathBuf> {
    if !directory.is_dir() {
        return Vec::new();
    }
    let entries = fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn name(path: &Path) -> String {
    path.file_name().and_then(|name| name.to_str()).expect("a name").to_owned()
}

/// A slot begins with the head of a blob, whose id names the pack, the first page of the slot and the number of its pages.
fn look_through(path: &Path) -> (Vec<Place>, Vec<usize>) {
    let (pack, bytes) = (name(path), fs::read(path).expect("a pack"));
    let number =
        |id: &str, digits: Range<usize>| usize::from_str_radix(&id[digits], 16).expect("hexadecimal") * PAGE_BYTES;
    let (mut at, mut found, mut fragments) = (PAGE_BYTES, Vec::new(), Vec::new());
    while at + PAGE_BYTES <= bytes.len() {
        let id: String = bytes[at + 12..at + 28].iter().map(|byte| format!("{byte:02x}")).collect();
        let (head, check) = bytes[at..at + PAGE_BYTES].split_at(PAGE_BYTES - 4);
        // A head that is torn is none: an upload that was cut off left it.
        let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, head).to_le_bytes();
        let is_head = head.starts_with(b"CHBLOB\r\n") && crc[..4] == *check;
        if is_head && id[..10] == pack && number(&id, 10..14) == at {
            let end = at + number(&id, 14..18);
            found.push((id, path.to_owned(), at..end.min(bytes.len())));
            at = end;
        } else {
            if bytes[at..at + PAGE_BYTES].iter().any(|byte| *byte != 0) {
                fragments.push(at);
            }
            at += PAGE_BYTES;
        }
    }
    (found, fragments)
}
