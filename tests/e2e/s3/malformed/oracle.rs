//! What every answer must be, whatever was asked.

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
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    let is_text = std::str::from_utf8(&answer.body).is_ok();
    let code = code_of(answer);
    let told = || format!("{} {}", String::from_utf8_lossy(&answer.head), text);
    match answer.status {
        200..=499 => {}
        501 if is_head || code.as_deref() == Some("NotImplemented") => {}
        _ => return Err(format!("this status is never right: {}", told())),
    }
    if answer.status < 400 || is_head {
        return Ok(());
    }
    // What HTTP itself refuses has no body.
    if answer.body.is_empty() {
        return Ok(());
    }
    if header(&answer.head, "content-type").as_deref() != Some("application/xml") {
        return Err(format!("an error that is no XML: {}", told()));
    }
    if !is_text {
        return Err(format!("an error that is not UTF-8: {}", told()));
    }
    well_formed(&text).map_err(|why| format!("{why} in {}", told()))?;
    for name in ["Code", "Message", "RequestId"] {
        if element(&text, name).is_none_or(str::is_empty) {
            return Err(format!("no {name} in {}", told()));
        }
    }
    Ok(())
}

/// The code of an error; `None` of what is none, or tells none.
pub(super) fn code_of(answer: &Answer) -> Option<String> {
    let text = std::str::from_utf8(&answer.body).ok().filter(|_| answer.status >= 400)?;
    element(text, "Code").map(str::to_owned)
}

fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(text, _)| text)
}

/// Whether a document without attributes is XML: only characters that may stand in it, only entities that it knows, every element closed.
fn well_formed(text: &str) -> Result<(), String> {
    let may_stand =
        |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    if let Some(odd) = text.chars().find(|c| !may_stand(*c)) {
        return Err(format!("the character {odd:?}"));
    }
    let content = text.split_once("?>").map_or(text, |(_, content)| content);
    let mut open: Vec<&str> = Vec::new();
    let mut pieces = content.split('<');
    let before = pieces.next().unwrap_or_default();
    if !before.trim().is_empty() {
        return Err("text before the first element".to_owned());
    }
    for piece in pieces {
        let (tag, rest) = piece.split_once('>').ok_or("a tag without an end")?;
        match tag.strip_prefix('/') {
            Some(name) if open.pop() == Some(name) => {}
            Some(name) => return Err(format!("</{name}> closes something else")),
            None if tag.ends_with('/') => {}
            None => open.push(tag.split(' ').next().unwrap_or_default()),
        }
        let mut entities = rest.split('&').skip(1).map(|entity| entity.split_once(';').map(|(name, _)| name));
        let known = |name: &str| matches!(name, "amp" | "lt" | "gt" | "quot" | "apos") || name.starts_with('#');
        if let Some(odd) = entities.find(|entity| !entity.is_some_and(known)) {
            return Err(format!("the entity {odd:?}"));
        }
        if open.is_empty() && !rest.trim().is_empty() {
            return Err("text behind the last element".to_owned());
        }
    }
    if open.is_empty() { Ok(()) } else { Err(format!("{open:?} without an end")) }
}

#[test]
fn only_what_is_well_formed_passes() {
    let good =
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>A</Code><Message>a &lt; b</Message><Empty/></Error>";
    assert_eq!(well_formed(good), Ok(()));
    for bad in [
        "<a><b></a></b>",
        "<a>",
        "<a>&nbsp;</a>",
        "<a>x & y</a>",
        "<a>\u{1}</a>",
        "<a>\u{0}</a>",
        "<a>\u{fffe}</a>",
        "<a></a>x",
        "x<a></a>",
        "<a",
    ] {
        assert!(well_formed(bad).is_err(), "{bad:?}");
    }
}
