//! What every answer must be, whatever was asked.

use roxmltree::Document;

use super::case::Case;
use super::wire::{Answer, Heard, header};

/// Judges what came back for a case.
pub(super) fn judge(case: &Case, heard: &Heard) -> Result<(), String> {
    for (at, answer) in heard.answers.iter().enumerate() {
        let is_head = case.heads.get(at).copied().unwrap_or_default();
        judge_answer(answer, is_head).map_err(|why| format!("answer {}: {why}", at + 1))?;
    }
    let all = heard.answers.iter().flat_map(|answer| [&answer.head, &answer.body]).chain([&heard.rest]);
    for bytes in all {
        if case.secrets.iter().any(|secret| contains(bytes, secret.as_bytes())) {
            return Err(format!("a secret or the right signature is told: {}", String::from_utf8_lossy(bytes)));
        }
    }
    Ok(())
}

fn contains(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|window| window == what)
}

fn judge_answer(answer: &Answer, is_head: bool) -> Result<(), String> {
    let code = code_of(answer);
    let told = || format!("{} {}", String::from_utf8_lossy(&answer.head), String::from_utf8_lossy(&answer.body));
    match answer.status {
        200..=499 => {}
        501 if is_head || code.as_deref() == Some("NotImplemented") => {}
        _ => return Err(format!("this status is never right: {}", told())),
    }
    // What HTTP itself refuses has no body.
    if is_head || answer.body.is_empty() {
        return Ok(());
    }
    let kind = header(&answer.head, "content-type").unwrap_or_default();
    // What stands in an object is its owner's affair, and so is the page that a website shows instead of an error.
    if header(&answer.head, "accept-ranges").is_some() {
        return Ok(());
    }
    let is_page = header(&answer.head, "x-amz-error-code").is_some() && kind.starts_with("text/html");
    let is_xml = matches!(kind.as_str(), "application/xml" | "text/xml");
    if is_xml || is_page {
        let text = std::str::from_utf8(&answer.body).map_err(|_| format!("no UTF-8: {}", told()))?;
        let text =
            if answer.status < 400 && kind == "application/xml" { with_plain_names(text) } else { text.to_owned() };
        let document = parsed(&text).map_err(|why| format!("{why}: {}", told()))?;
        if answer.status >= 400 && is_xml {
            return names(&document).map_err(|name| format!("no {name} in {}", told()));
        }
        return Ok(());
    }
    if answer.status >= 400 { Err(format!("an error that is no XML: {}", told())) } else { Ok(()) }
}

/// Whether an error tells what programs look for.
fn names(document: &Document<'_>) -> Result<(), &'static str> {
    let tells = |name: &str| {
        let found = document.descendants().find(|node| node.tag_name().name() == name);
        found.and_then(|node| node.text()).is_some_and(|text| !text.is_empty())
    };
    ["Code", "Message", "RequestId"].into_iter().find(|name| !tells(name)).map_or(Ok(()), Err)
}

/// An answer of S3 may tell names of objects, which may have characters that no XML has; S3 writes them as they are. Clients
/// ask for them encoded.
fn with_plain_names(text: &str) -> String {
    text.replace(|c: char| !may_stand(c), "?")
}

/// Whether a character may stand in XML.
fn may_stand(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// A document, if it is XML, without a DTD and with nothing in it that may not stand there.
fn parsed(text: &str) -> Result<Document<'_>, String> {
    if let Some(odd) = text.chars().find(|c| !may_stand(*c)) {
        return Err(format!("the character {odd:?}"));
    }
    Document::parse(text).map_err(|error| error.to_string())
}

/// The code of an error; `None` of what is none, or tells none. The pages of websites have it in a header.
pub(super) fn code_of(answer: &Answer) -> Option<String> {
    let text = std::str::from_utf8(&answer.body).ok().filter(|_| answer.status >= 400)?;
    element(text, "Code").map(str::to_owned).or_else(|| header(&answer.head, "x-amz-error-code"))
}

fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(text, _)| text)
}

#[test]
fn only_what_is_well_formed_passes() {
    let good =
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>A</Code><Message>a &lt; b</Message><Empty/></Error>";
    assert!(parsed(good).is_ok());
    for bad in [
        "<a><b></a></b>",
        "<a>",
        "<a>&nbsp;</a>",
        "<a>x & y</a>",
        "<a>\u{1}</a>",
        "<a>&#1;</a>",
        "<a b=c/>",
        "<a b=\"c\" b=\"d\"/>",
        "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>",
        "<a>\u{0}</a>",
        "<a>\u{fffe}</a>",
        "<a></a>x",
        "x<a></a>",
        "<a",
    ] {
        assert!(parsed(bad).is_err(), "{bad:?}");
    }
}
