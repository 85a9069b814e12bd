//! Says what is wrong with a configuration, with the whole path of the key and the nearest right name.

use figment::error::{Actual, Error, Kind};

use super::show::{is_secret, source_file};

/// Names less alike than this are no help.
const LIKENESS_MIN: f64 = 0.7;

/// One line for each thing that is wrong.
pub(super) fn explain(error: &Error) -> anyhow::Error {
    let lines: Vec<String> = error.clone().into_iter().map(|one| explain_one(&one)).collect();
    anyhow::anyhow!("{}", lines.join("\n"))
}

fn explain_one(error: &Error) -> String {
    let place = place(error);
    match &error.kind {
        Kind::UnknownField(field, expected) => {
            let section = section(&error.path, field);
            format!("{place}: there is no setting `{section}{field}`{}", suggestion(&section, field, expected))
        }
        Kind::InvalidType(actual, expected) | Kind::InvalidValue(actual, expected) => {
            let key = error.path.join(".");
            format!("{place}: `{key}` must be {expected}, but it is {}", shown(&key, actual))
        }
        Kind::UnknownVariant(word, expected) => {
            let key = error.path.join(".");
            format!("{place}: `{key}` is {word:?}; it must be one of {}", expected.join(", "))
        }
        Kind::Message(_)
        | Kind::InvalidLength(..)
        | Kind::MissingField(_)
        | Kind::DuplicateField(_)
        | Kind::ISizeOutOfRange(_)
        | Kind::USizeOutOfRange(_)
        | Kind::Unsupported(_)
        | Kind::UnsupportedKey(..) => {
            let key = error.path.join(".");
            if is_secret(&key) {
                return format!("{place}: `{key}` cannot be used");
            }
            let of = if key.is_empty() { String::new() } else { format!(" `{key}`:") };
            format!("{place}:{of} {}", error.kind)
        }
    }
}

/// The file or variable that the error is about.
fn place(error: &Error) -> String {
    let Some(metadata) = &error.metadata else { return "configuration".to_owned() };
    match source_file(metadata) {
        Some(path) => path.display().to_string(),
        None => metadata.name.to_string(),
    }
}

/// The path of the section with a dot behind it. The library sometimes counts the unknown field itself to the path.
fn section(path: &[String], field: &str) -> String {
    let parents = match path {
        [parents @ .., last] if last == field => parents,
        all => all,
    };
    parents.iter().map(|part| format!("{part}.")).collect()
}

fn suggestion(section: &str, field: &str, expected: &[&str]) -> String {
    let nearest = expected
        .iter()
        .map(|name| (likeness(name, field), name))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN);
    match nearest {
        Some((_, name)) => format!("; did you mean `{section}{name}`?"),
        None => format!("; there are: {}", expected.join(", ")),
    }
}

/// How alike two names are, from 0 to 1. One slip of the fingers in a short name (`ulr`) changes much of it, and is a slip still.
fn likeness(name: &str, field: &str) -> f64 {
    let slip = if strsim::osa_distance(name, field) == 1 { LIKENESS_MIN } else { 0.0 };
    strsim::jaro_winkler(name, field).max(slip)
}

/// A value as it stands there, unless it may be a secret.
fn shown(key: &str, actual: &Actual) -> String {
    if is_secret(key) { "something else".to_owned() } else { actual.to_string() }
}
