//! The stand-in's clock, which a test may stop and move, and the ways in which times are written.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

/// `2024-01-31T12:00:00+0000`
const WITH_OFFSET: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second][offset_hour sign:mandatory][offset_minute]");
/// `2024-01-31 12:00:00`
const PLAIN: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
/// `2024-01-31`
const DAY: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]");

/// The system's clock moved by an offset, or stopped.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Clock {
    Moved { by_ms: i64 },
    Stopped { at_ms: i64 },
}

impl Clock {
    /// Milliseconds since 1970.
    pub(crate) fn now_ms(self) -> i64 {
        match self {
            Self::Moved { by_ms } => system_ms() + by_ms,
            Self::Stopped { at_ms } => at_ms,
        }
    }

    pub(crate) fn now_s(self) -> i64 {
        self.now_ms().div_euclid(1000)
    }

    pub(crate) fn advance(&mut self, by: Duration) {
        let more_ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        match self {
            Self::Moved { by_ms } => *by_ms = by_ms.saturating_add(more_ms),
            Self::Stopped { at_ms } => *at_ms = at_ms.saturating_add(more_ms),
        }
    }
}

fn system_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A time as answers show it.
pub(crate) fn shown(seconds: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    time.format(WITH_OFFSET).unwrap_or_default()
}

/// The `expires` of a request, and the times in answers.
pub(crate) fn parse_with_offset(text: &str) -> Option<i64> {
    OffsetDateTime::parse(text, WITH_OFFSET).ok().map(OffsetDateTime::unix_timestamp)
}

/// The `startdate` and `enddate` of listEvents: a day, or a day and a time, in UTC.
pub(crate) fn parse_date(text: &str) -> Option<i64> {
    let time = PrimitiveDateTime::parse(text, PLAIN)
        .or_else(|_| time::Date::parse(text, DAY).map(time::Date::midnight))
        .ok()?;
    Some(time.assume_utc().unix_timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_written() {
        assert_eq!(shown(1_795_321_280), "2026-11-22T04:21:20+0000");
        assert_eq!(parse_with_offset("2026-11-22T04:21:20+0000"), Some(1_795_321_280));
        assert_eq!(parse_with_offset("2026-11-22T06:21:20+0200"), Some(1_795_321_280));
        assert_eq!(parse_with_offset("tomorrow"), None);
        assert_eq!(parse_date("2026-11-22 04:21:20"), Some(1_795_321_280));
        assert_eq!(parse_date("2026-11-22"), Some(1_795_305_600));
    }
}
