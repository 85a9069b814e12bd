//! Which bytes a read gets, and whether it gets any: ranges and conditions as HTTP defines them.

use std::ops::Range;

use crate::objects::{ReadConditions, Selection};
use crate::{Error, Result};

/// The bytes that a selection other than a part means in an object of a size.
pub(crate) fn range(selection: Selection, size_bytes: u64) -> Result<Range<u64>> {
    let range = match selection {
        Selection::From(start) => start..size_bytes,
        Selection::Between(start, last) => start..last.saturating_add(1).min(size_bytes),
        Selection::Last(count) => size_bytes.saturating_sub(count)..size_bytes,
        Selection::Part(_) => return Err(Error::Internal("a part is no range of bytes")),
    };
    if range.is_empty() { Err(Error::InvalidRange { size_bytes }) } else { Ok(range) }
}

/// Refuses a read whose conditions do not hold, in the order of RFC 9110, section 13.2.2.
pub(crate) fn check_read(etag: &str, modified_us: i64, conditions: &ReadConditions) -> Result<()> {
    let failed = |condition| Err(Error::PreconditionFailed { condition });
    let not_modified = || Err(Error::NotModified { etag: etag.to_owned(), modified_us });
    let has = |tags: &[String]| tags.iter().any(|tag| tag == "*" || tag == etag);
    if !conditions.if_match.is_empty() {
        if !has(&conditions.if_match) {
            return failed("If-Match");
        }
    } else if conditions.if_unmodified_since_us.is_some_and(|since| seconds(modified_us) > seconds(since)) {
        return failed("If-Unmodified-Since");
    }
    if !conditions.if_none_match.is_empty() {
        if has(&conditions.if_none_match) {
            return not_modified();
        }
    } else if conditions.if_modified_since_us.is_some_and(|since| seconds(modified_us) <= seconds(since)) {
        return not_modified();
    }
    Ok(())
}

/// Times of HTTP have whole seconds.
fn seconds(us: i64) -> i64 {
    us.div_euclid(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_clipped_to_the_object() {
        assert_eq!(range(Selection::From(3), 10).unwrap(), 3..10);
        assert_eq!(range(Selection::Between(0, 9), 10).unwrap(), 0..10);
        assert_eq!(range(Selection::Between(8, u64::MAX), 10).unwrap(), 8..10);
        assert_eq!(range(Selection::Last(4), 10).unwrap(), 6..10);
        assert_eq!(range(Selection::Last(40), 10).unwrap(), 0..10);
        for outside in [Selection::From(10), Selection::Between(10, 12), Selection::Last(0)] {
            assert!(matches!(range(outside, 10), Err(Error::InvalidRange { size_bytes: 10 })), "{outside:?}");
        }
        assert!(range(Selection::From(0), 0).is_err());
    }

    #[test]
    fn a_tag_condition_outranks_its_time_condition() {
        const NOW: i64 = 1_000_000_000_000;
        let both = ReadConditions {
            if_match: vec!["a".into()],
            if_unmodified_since_us: Some(NOW - 5_000_000),
            ..ReadConditions::default()
        };
        assert!(check_read("a", NOW, &both).is_ok());
        assert!(check_read("b", NOW, &both).is_err());
        let none = ReadConditions {
            if_none_match: vec!["b".into()],
            if_modified_since_us: Some(NOW),
            ..ReadConditions::default()
        };
        assert!(check_read("a", NOW, &none).is_ok());
        assert!(matches!(check_read("b", NOW, &none), Err(Error::NotModified { .. })));
    }

    #[test]
    fn times_are_compared_in_whole_seconds() {
        let since = ReadConditions { if_modified_since_us: Some(7_000_000), ..ReadConditions::default() };
        assert!(check_read("a", 7_900_000, &since).is_err());
        assert!(check_read("a", 8_000_000, &since).is_ok());
        let unmodified = ReadConditions { if_unmodified_since_us: Some(7_000_000), ..ReadConditions::default() };
        assert!(check_read("a", 7_900_000, &unmodified).is_ok());
        assert!(check_read("a", 8_000_000, &unmodified).is_err());
    }
}
