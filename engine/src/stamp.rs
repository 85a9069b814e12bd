//! Times in names of files: `20261122T115822.123456Z`, in the order of time when sorted as text.

use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

const FORMAT: &[BorrowedFormatItem<'_>] =
    format_description!("[year][month][day]T[hour][minute][second].[subsecond digits:6]Z");

/// A time, in microseconds of the Unix epoch, as a name.
pub(crate) fn of(us: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(us) * 1000);
    time.ok().and_then(|time| time.format(FORMAT).ok()).unwrap_or_else(|| "unknown".to_owned())
}

/// The time that a name tells; `None` when it tells none.
pub(crate) fn parse(name: &str) -> Option<i64> {
    let time = PrimitiveDateTime::parse(name, FORMAT).ok()?.assume_utc();
    i64::try_from(time.unix_timestamp_nanos() / 1000).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_back_from_its_name() {
        for us in [0, 1, 1_763_812_702_123_456, 4_102_444_799_999_999] {
            assert_eq!(parse(&of(us)), Some(us));
        }
        assert_eq!(of(1_763_812_702_123_456), "20251122T115822.123456Z");
        assert_eq!(parse("yesterday"), None);
    }
}
