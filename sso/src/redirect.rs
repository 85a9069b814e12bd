//! Where a browser may be sent inside the console. A link's `redirect` is not signed, so anybody can write it.

use percent_encoding::percent_decode_str;

use crate::Error;

/// The path under which the whole console stands.
pub const CONSOLE_PATH: &str = "/Cloudian/";

/// The path (with its query) to send the browser to, always beginning with `/Cloudian/`.
///
/// Nothing, an empty text and `/` mean the console's home, `/Cloudian/`. Everything else is a path relative to it, such as
/// `admin.htm` or `explorer.htm?x=1`, or an absolute one below it.
///
/// # Errors
/// [`Error::UnsafeRedirect`] for another host (`//host`, any scheme), a path out of the console (also by `..`, written
/// plainly or encoded), a backslash, a control character, and anything beyond plain ASCII.
pub fn safe_redirect(redirect: Option<&str>) -> Result<String, Error> {
    let wanted = match redirect {
        None | Some("" | "/" | "/Cloudian") => return Ok(CONSOLE_PATH.to_owned()),
        Some(wanted) => wanted,
    };
    let plain = wanted.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if !plain {
        return Err(Error::UnsafeRedirect);
    }
    let relative = match wanted.strip_prefix(CONSOLE_PATH) {
        Some(below) => below,
        None if wanted.starts_with('/') => return Err(Error::UnsafeRedirect),
        None => wanted,
    };
    let path = relative.split(['?', '#']).next().unwrap_or_default();
    if path.starts_with('/') || !path.split('/').all(is_plain_segment) {
        return Err(Error::UnsafeRedirect);
    }
    Ok(format!("{CONSOLE_PATH}{relative}"))
}

/// One name of a path: neither a step upwards nor something that a browser or a proxy could read as a scheme, a host or
/// another separator, whether it is written plainly or percent-encoded.
fn is_plain_segment(segment: &str) -> bool {
    let Ok(decoded) = percent_decode_str(segment).decode_utf8() else { return false };
    let special = |character: char| character.is_control() || matches!(character, '/' | '\\' | ':');
    !matches!(decoded.as_ref(), "." | "..") && !decoded.contains(special)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_home_and_pages_of_the_console_are_allowed() {
        for (wanted, path) in [
            (None, "/Cloudian/"),
            (Some(""), "/Cloudian/"),
            (Some("/"), "/Cloudian/"),
            (Some("/Cloudian"), "/Cloudian/"),
            (Some("/Cloudian/"), "/Cloudian/"),
            (Some("admin.htm"), "/Cloudian/admin.htm"),
            (Some("explorer.htm"), "/Cloudian/explorer.htm"),
            (Some("/Cloudian/bucket.htm?name=a%2Fb"), "/Cloudian/bucket.htm?name=a%2Fb"),
            (Some("a/b..c?next=//x"), "/Cloudian/a/b..c?next=//x"),
        ] {
            assert_eq!(safe_redirect(wanted).as_deref(), Ok(path), "{wanted:?}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for bad in [
            "//evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "https://evil.example/",
            "javascript:alert(1)",
            "javascript%3Aalert(1)",
            "/admin",
            "/Cloudianx/",
            "/cloudian/",
            "/Cloudian//evil.example",
            "..",
            "a/../../b",
            "%2e%2e/b",
            "%2E./b",
            "/Cloudian/../client",
            "/Cloudian/%2e%2e/client",
            "a%2f..%2fb",
            "a%5cb",
            "a%00",
            "a\r\nSet-Cookie: x",
            "\t//evil.example",
            " admin.htm",
            "größe.htm",
            "%ff",
        ] {
            assert_eq!(safe_redirect(Some(bad)), Err(Error::UnsafeRedirect), "{bad:?}");
        }
    }
}
