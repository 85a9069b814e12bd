//! Sizes and times as people write and read them.

/// Reads `4096`, `4KiB` or `1GiB`.
///
/// # Errors
/// Says what a size looks like.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let shift = match text[digits..].trim() {
        "" | "B" => Some(0),
        "KiB" | "K" => Some(10),
        "MiB" | "M" => Some(20),
        "GiB" | "G" => Some(30),
        _ => None,
    };
    let number = text[..digits].parse::<u64>().ok();
    let size = number.zip(shift).and_then(|(number, shift)| number.checked_mul(1 << shift));
    size.ok_or_else(|| format!("{text} is no size: 4096, 4KiB, 256MiB and 1GiB are"))
}

/// A size for people; what is no whole number of a unit is shown with one decimal.
pub(crate) fn show(bytes: u64) -> String {
    let (unit, name) = match bytes {
        0..0x400 => return format!("{bytes} B"),
        0x400..0x10_0000 => (0x400, "KiB"),
        0x10_0000..0x4000_0000 => (0x10_0000, "MiB"),
        _ => (0x4000_0000, "GiB"),
    };
    if bytes.is_multiple_of(unit) {
        format!("{} {name}", bytes / unit)
    } else {
        format!("{:.1} {name}", bytes as f64 / unit as f64)
    }
}

/// A duration for people.
pub(crate) fn show_us(us: f64) -> String {
    if us < 1e3 {
        format!("{us:.0} us")
    } else if us < 1e6 {
        format!("{:.2} ms", us / 1e3)
    } else {
        format!("{:.2} s", us / 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_they_are_shown() {
        for (text, bytes) in [("0", 0), ("4096", 4096), ("4KiB", 4096), ("256MiB", 256 << 20), ("1G", 1 << 30)] {
            assert_eq!(parse(text), Ok(bytes));
        }
        assert_eq!(parse(&show(3 << 20)), Ok(3 << 20));
        for wrong in ["", "KiB", "4KB", "-1", "99999999999GiB"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(show(1536), "1.5 KiB");
    }
}
