//! Sizes, times and addresses as people read them.

use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use url::form_urlencoded;

const HUMAN: &[BorrowedFormatItem<'_>] =
    format_description!("[day padding:none] [month repr:short] [year], [hour]:[minute] UTC");
const MACHINE: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
const HTTP: &[BorrowedFormatItem<'_>] =
    format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");

/// A time as a page shows it: for people, and exact for machines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct When {
    pub(crate) human: String,
    pub(crate) machine: String,
}

impl When {
    /// From microseconds of the Unix epoch.
    pub(crate) fn from_us(time_us: i64) -> Self {
        Self { human: written(time_us, HUMAN), machine: written(time_us, MACHINE) }
    }
}

/// A time as HTTP headers have it.
pub(crate) fn http_date(time_us: i64) -> String {
    written(time_us, HTTP)
}

fn written(time_us: i64, format: &[BorrowedFormatItem<'_>]) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(time_us) * 1000)
        .ok()
        .and_then(|when| when.format(format).ok())
        .unwrap_or_default()
}

/// A size with three digits and the unit that fits: `0 bytes`, `999 bytes`, `1.23 MB`, `45.6 GB`.
pub(crate) fn size(size_bytes: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    match size_bytes {
        1 => return "1 byte".to_owned(),
        0..1000 => return format!("{size_bytes} bytes"),
        _ => {}
    }
    let mut unit = 0;
    let mut divisor = 1000_u64;
    // 999.5 would round to 1000 of this unit, so it belongs to the next one.
    while unit + 1 < UNITS.len() && size_bytes >= divisor * 999 + divisor / 2 {
        divisor *= 1000;
        unit += 1;
    }
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let value = size_bytes as f64 / divisor as f64;
    let digits = match value {
        v if v < 9.995 => 2,
        v if v < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.digits$} {}", UNITS[unit])
}

/// A count with its noun: `1 object`, `12,345 objects`.
pub(crate) fn count(number: u64, one: &str) -> String {
    let plain = number.to_string();
    let mut grouped = String::with_capacity(plain.len() + plain.len() / 3);
    for (index, digit) in plain.chars().enumerate() {
        if index > 0 && (plain.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{grouped} {one}{}", if number == 1 { "" } else { "s" })
}

/// A page of the console with its parameters; those that are empty are left out.
pub(crate) fn href(page: &str, parameters: &[(&str, &str)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(parameters.iter().filter(|(_, value)| !value.is_empty()));
    let query = query.finish();
    let mark = if query.is_empty() { "" } else { "?" };
    format!("{}{page}{mark}{query}", sso::CONSOLE_PATH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_digits() {
        for (size_bytes, text) in [
            (0, "0 bytes"),
            (1, "1 byte"),
            (999, "999 bytes"),
            (1000, "1.00 kB"),
            (1_234_567, "1.23 MB"),
            (45_600_000_000, "45.6 GB"),
            (999_499, "999 kB"),
            (999_500, "1.00 MB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(size(size_bytes), text);
        }
    }

    #[test]
    fn times_are_written_for_people_machines_and_http() {
        let when = When::from_us(1_725_937_474_949_000);
        assert_eq!(when.human, "10 Sep 2024, 03:04 UTC");
        assert_eq!(when.machine, "2024-09-10T03:04:34Z");
        assert_eq!(http_date(1_725_937_474_949_000), "Tue, 10 Sep 2024 03:04:34 GMT");
    }

    #[test]
    fn counts_have_their_noun() {
        assert_eq!(count(0, "object"), "0 objects");
        assert_eq!(count(1, "object"), "1 object");
        assert_eq!(count(1_234_567, "object"), "1,234,567 objects");
    }

    #[test]
    fn parameters_are_encoded_and_empty_ones_left_out() {
        let link = href("bucket.htm", &[("name", "photos"), ("prefix", "a&b/ü +"), ("after", "")]);
        assert_eq!(link, "/Cloudian/bucket.htm?name=photos&prefix=a%26b%2F%C3%BC+%2B");
        assert_eq!(href("", &[]), "/Cloudian/");
    }
}
