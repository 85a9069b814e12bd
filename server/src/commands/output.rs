//! What commands write: answers to stdout, everything else to stderr.

use std::io::{self, Write as _};

use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A line of the answer.
pub(super) fn line(text: impl AsRef<str>) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{}", text.as_ref())
}

/// A line beside the answer.
pub(super) fn note(text: impl AsRef<str>) -> io::Result<()> {
    writeln!(io::stderr().lock(), "{}", text.as_ref())
}

/// The answer as JSON.
pub(super) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    line(serde_json::to_string_pretty(value)?)?;
    Ok(())
}

/// Whether whoever read our output went away (`| head`), which is no failure.
#[must_use]
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .any(|cause| cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe))
}

/// Bytes for people: `1.5 GiB`.
pub(super) fn size(bytes: u64) -> String {
    indicatif::HumanBytes(bytes).to_string()
}

/// Microseconds of the Unix epoch as a time in UTC.
pub(super) fn time(us: i64) -> String {
    OffsetDateTime::from_unix_timestamp(us.div_euclid(1_000_000))
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| "unknown".to_owned())
}

/// A word of a command line, quoted where a shell would read it otherwise.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_when_a_shell_would_change_them() {
        assert_eq!(quoted("usehttps=false"), "usehttps=false");
        assert_eq!(quoted("details[0].key=accesskey"), "'details[0].key=accesskey'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }

    #[test]
    fn times_and_sizes_are_for_people() {
        assert_eq!(time(1_000_000), "1970-01-01T00:00:01Z");
        assert_eq!(size(3 << 20), "3.00 MiB");
    }
}
