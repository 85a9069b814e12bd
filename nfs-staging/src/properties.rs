//! `template.properties`: how CloudStack knows a template in a staging directory.
//!
//! Without the lines on size and format CloudStack takes a template for incomplete and deletes its directory on the next
//! sync; a directory without the file is not looked at. So pull writes one beside a template whose format CloudStack knows,
//! with the facts that a bucket holds (no description, no flags: CloudStack takes missing ones as unset and has them in its
//! database). One that CloudStack wrote itself is left alone.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read, Write as _};
use std::os::unix::fs::FileExt;

use sha2::{Digest, Sha256};

use crate::beneath::{Dir, FILE_MODE};
use crate::layout::{LayoutKey, RESERVED_PREFIX, TEMPLATE_PROPERTIES};
use crate::{Error, Result};

/// Formats that CloudStack tells by the end of the file's name. Anything else, such as `.qcow2.bz2`, CloudStack unpacks
/// itself before it describes it.
const FORMATS: [&str; 9] = ["qcow2", "vhd", "vhdx", "ova", "iso", "raw", "vmdk", "vdi", "tar"];
/// Larger ones are not CloudStack's.
const SIZE_BYTES_MAX: u64 = 64 << 10;
/// The first bytes of a QCOW2 image, and where its virtual size stands.
const QCOW2: (&[u8; 4], u64) = (b"QFI\xfb", 24);
/// The first bytes of the footer of a VHD image, its length, and where in it the virtual size stands.
const VHD: (&[u8; 8], u64, u64) = (b"conectix", 512, 48);

/// What a `template.properties` says, as far as staging needs it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Properties {
    pub(crate) file_name: Option<String>,
    pub(crate) unique_name: Option<String>,
    /// SHA-256 of the whole text, hexadecimal.
    pub(crate) sha256: String,
}

/// Reads the description in a template's directory; `None` when there is none.
pub(crate) fn read(dir: &Dir) -> Result<Option<Properties>> {
    let Some(file) = dir.find_file(TEMPLATE_PROPERTIES)? else { return Ok(None) };
    let path = dir.path_of(TEMPLATE_PROPERTIES);
    let mut text = Vec::new();
    file.take(SIZE_BYTES_MAX).read_to_end(&mut text).map_err(|error| Error::file("reading", path, error))?;
    let sha256 = hex::encode(Sha256::digest(&text));
    // Java writes Latin-1; what is not in it is escaped.
    let text: String = text.into_iter().map(char::from).collect();
    let find = |name| lines(&text).rev().find_map(|line| value_of(line, name));
    Ok(Some(Properties { file_name: find("filename"), unique_name: find("uniquename"), sha256 }))
}

/// Describes a staged template. `ours` is the SHA-256 of the description that we wrote there before, if any. Gives the
/// SHA-256 of what stands there now when that is ours, or why there is none of ours.
pub(crate) fn describe(
    dir: &Dir,
    key: &LayoutKey,
    file: &File,
    ours: Option<&str>,
) -> Result<std::result::Result<String, String>> {
    let path = dir.path_of(TEMPLATE_PROPERTIES);
    let staged = key.staged();
    let Some(text) = text_for(key, file).map_err(|error| Error::file("reading", staged.to_string(), error))? else {
        return Ok(Err(format!("{:?} has no format that CloudStack knows, so {path} was not written", staged.file)));
    };
    let sha256 = hex::encode(Sha256::digest(&text));
    match read(dir)? {
        Some(there) if there.sha256 == sha256 => return Ok(Ok(sha256)),
        Some(there) if Some(there.sha256.as_str()) != ours => {
            return Ok(Err(format!("{path} was there and was left as it is")));
        }
        Some(_) | None => (),
    }
    write(dir, &text)?;
    Ok(Ok(sha256))
}

fn write(dir: &Dir, text: &str) -> Result<()> {
    let aside = format!("{RESERVED_PREFIX}properties");
    let path = dir.path_of(TEMPLATE_PROPERTIES);
    dir.unlink(&aside)?;
    let mut file = dir.create(&aside)?;
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| Ok(rustix::fs::fchmod(&file, FILE_MODE)?))
        .and_then(|()| file.sync_all());
    written.map_err(|error| Error::file("writing", path, error))?;
    dir.rename(&aside, TEMPLATE_PROPERTIES)?;
    dir.sync()
}

fn text_for(key: &LayoutKey, file: &File) -> std::io::Result<Option<String>> {
    let (Some(unique), Some(format)) = (key.unique_name(), format_of(&key.staged().file)) else { return Ok(None) };
    let staged = key.staged();
    let size = file.metadata()?.len();
    let virtual_size = virtual_size(format, file, size)?;
    let name = escape(&staged.file);
    let mut text = "#Written by Cloudhold\n".to_owned();
    let mut line = |key: &str, value: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{key}={value}");
    };
    line("id", &staged.id.to_string());
    line("filename", &name);
    line("uniquename", &escape(unique));
    line("size", &size.to_string());
    line("virtualsize", &virtual_size.to_string());
    line(format, "true");
    line(&format!("{format}.filename"), &name);
    line(&format!("{format}.size"), &size.to_string());
    line(&format!("{format}.virtualsize"), &virtual_size.to_string());
    Ok(Some(text))
}

fn format_of(file_name: &str) -> Option<&'static str> {
    let end = file_name.rsplit_once('.')?.1.to_ascii_lowercase();
    FORMATS.into_iter().find(|format| *format == end)
}

/// The size of the disk inside; the file's own for formats that do not say it, as CloudStack has it.
fn virtual_size(format: &str, file: &File, size_bytes: u64) -> std::io::Result<u64> {
    let (magic, start, at): (&[u8], u64, u64) = match format {
        "qcow2" => (QCOW2.0, 0, QCOW2.1),
        "vhd" => (VHD.0, size_bytes.saturating_sub(VHD.1), VHD.2),
        _ => return Ok(size_bytes),
    };
    if size_bytes < start + at + 8 {
        return Ok(size_bytes);
    }
    let mut seen = vec![0; magic.len()];
    file.read_exact_at(&mut seen, start)?;
    if seen != magic {
        return Ok(size_bytes);
    }
    let mut number = [0; 8];
    file.read_exact_at(&mut number, start + at)?;
    Ok(u64::from_be_bytes(number))
}

/// A value as Java's `Properties.store` writes it.
fn escape(value: &str) -> String {
    let mut out = String::new();
    for (at, c) in value.chars().enumerate() {
        match c {
            ' ' if at == 0 => out.push_str("\\ "),
            '\\' | '=' | ':' | '#' | '!' => out.extend(['\\', c]),
            ' '..='~' => out.push(c),
            _ => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\u{unit:04X}");
            }),
        }
    }
    out
}

fn lines(text: &str) -> impl DoubleEndedIterator<Item = &str> {
    text.lines().map(str::trim_start).filter(|line| !line.starts_with(['#', '!']))
}

/// The value of a line `name=value`, as Java reads it.
fn value_of(line: &str, name: &str) -> Option<String> {
    let rest = line.strip_prefix(name)?.trim_start();
    let value = rest.strip_prefix(['=', ':'])?.trim_start();
    let mut units: Vec<u16> = Vec::new();
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        let c = if c == '\\' {
            chars.next()?
        } else {
            units.extend(c.encode_utf16(&mut [0; 2]).iter());
            continue;
        };
        match c {
            'u' => units.push(u16::from_str_radix(chars.as_str().get(..4)?, 16).ok()?),
            't' => units.push(9),
            'n' => units.push(10),
            'r' => units.push(13),
            'f' => units.push(12),
            other => units.extend(other.encode_utf16(&mut [0; 2]).iter()),
        }
        if c == 'u' {
            chars.nth(3);
        }
    }
    String::from_utf16(&units).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::beneath::{Resolver, Root};

    fn staged(file: &str, content: &[u8], test: impl Fn(&Dir, &LayoutKey, &File)) {
        let temp = tempfile::tempdir().unwrap();
        let resolver = Resolver::new();
        let root = Root::open(temp.path(), &resolver).unwrap();
        let key = LayoutKey::parse(&format!("template/tmpl/1/200/200-1-uniq=ü/{file}")).unwrap();
        let dir = root.make(&["template", "tmpl", "1", "200"]).unwrap();
        let mut out = dir.create(file).unwrap();
        out.write_all(content).unwrap();
        test(&dir, &key, &out);
    }

    #[test]
    fn a_qcow2_template_is_described_with_its_virtual_size() {
        let mut image = vec![0; 4096];
        image[..4].copy_from_slice(b"QFI\xfb");
        image[24..32].copy_from_slice(&(10_u64 << 30).to_be_bytes());
        staged("root disk.QCOW2", &image, |dir, key, file| {
            let sha256 = describe(dir, key, file, None).unwrap().unwrap();
            let mut text = String::new();
            dir.find_file(TEMPLATE_PROPERTIES).unwrap().unwrap().read_to_string(&mut text).unwrap();
            let expected = "#Written by Cloudhold\nid=200\nfilename=root disk.QCOW2\nuniquename=200-1-uniq\\=\\u00FC\nsize=4096\n\
                virtualsize=10737418240\nqcow2=true\nqcow2.filename=root disk.QCOW2\nqcow2.size=4096\nqcow2.virtualsize=10737418240\n";
            assert_eq!(text, expected);
            let read = read(dir).unwrap().unwrap();
            assert_eq!(read.unique_name.as_deref(), Some("200-1-uniq=ü"));
            assert_eq!((read.file_name.as_deref(), read.sha256), (Some("root disk.QCOW2"), sha256));
        });
    }

    #[test]
    fn a_vhd_says_its_size_at_its_end() {
        let mut image = vec![0; 2048];
        image[1536..1544].copy_from_slice(b"conectix");
        image[1536 + 48..1536 + 56].copy_from_slice(&77_u64.to_be_bytes());
        staged("a.vhd", &image, |dir, key, file| {
            let text = text_for(key, file).unwrap().unwrap();
            assert!(text.contains("\nvhd.virtualsize=77\n") && text.contains("\nvhd.size=2048\n"), "{text}");
            assert!(describe(dir, key, file, None).unwrap().is_ok());
        });
    }

    #[test]
    fn what_cloudstack_wrote_is_left_alone() {
        staged("a.iso", b"content", |dir, key, file| {
            dir.create(TEMPLATE_PROPERTIES).unwrap().write_all(b"#date\nuniquename : theirs\n").unwrap();
            assert!(describe(dir, key, file, None).unwrap().unwrap_err().contains("left as it is"));
            assert_eq!(read(dir).unwrap().unwrap().unique_name.as_deref(), Some("theirs"));
            let before = read(dir).unwrap().unwrap().sha256;
            assert!(describe(dir, key, file, Some(&before)).unwrap().is_ok());
            assert_eq!(read(dir).unwrap().unwrap().file_name.as_deref(), Some("a.iso"));
        });
    }

    #[test]
    fn packed_files_are_not_described() {
        staged("a.qcow2.bz2", b"content", |dir, key, file| {
            assert!(describe(dir, key, file, None).unwrap().is_err());
            assert_eq!(read(dir).unwrap(), None);
        });
    }

    proptest! {
        #[test]
        fn values_come_back(value in "[^\\p{Cc}]{0,30}") {
            let line = format!("uniquename={}", escape(&value));
            prop_assert!(line.is_ascii());
            prop_assert_eq!(value_of(&line, "uniquename"), Some(value));
        }

        #[test]
        fn any_text_is_read_without_harm(line in "\\PC{0,40}") {
            let _ = value_of(&format!("filename={line}"), "filename");
            let _ = value_of(&line, "filename");
        }
    }
}
