//! CloudStack's answers: the envelope, its errors, and the objects that the connector reads.
//!
//! An empty list is `{"list<x>response":{}}`, a page past the end has a count and no array, and neither means "there are
//! none": whoever reads a list must compare what came with the count.

use std::collections::BTreeMap;

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use super::error::CloudError;

/// Words of CloudStack are kept up to this length.
const TEXT_CHARS_MAX: usize = 300;

/// A domain, as `listDomains` gives it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Domain {
    pub(crate) id: String,
    /// 0 for ROOT.
    pub(crate) level: u32,
    #[serde(rename = "parentdomainid")]
    pub(crate) parent_id: Option<String>,
    /// From ROOT down, such as `ROOT/acme/dev`.
    pub(crate) path: String,
}

/// An account, as `listAccounts` gives it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Account {
    pub(crate) id: String,
    pub(crate) name: String,
    #[serde(rename = "accounttype")]
    pub(crate) account_type: i64,
    #[serde(rename = "roletype")]
    pub(crate) role_type: Option<String>,
    #[serde(rename = "rolename")]
    pub(crate) role_name: Option<String>,
    #[serde(rename = "domainid")]
    pub(crate) domain_id: String,
    #[serde(rename = "domainpath")]
    pub(crate) domain_path: Option<String>,
    /// `enabled`, `disabled` or `locked`.
    pub(crate) state: String,
    #[serde(default, rename = "user")]
    pub(crate) users: Vec<User>,
}

/// A user (a log-in) of an account.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct User {
    pub(crate) id: String,
    #[serde(default, rename = "firstname")]
    pub(crate) first_name: String,
    #[serde(default, rename = "lastname")]
    pub(crate) last_name: String,
    pub(crate) email: Option<String>,
    #[serde(rename = "accountid")]
    pub(crate) account_id: Option<String>,
}

/// An event: a hint that something may have changed.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Event {
    pub(crate) id: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    #[serde(rename = "resourceid")]
    pub(crate) resource_id: Option<String>,
    /// With a resolution of one second and the server's own offset from UTC.
    pub(crate) created: String,
}

/// A global setting.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Configuration {
    pub(crate) name: String,
    pub(crate) value: Option<String>,
    #[serde(rename = "defaultvalue")]
    pub(crate) default_value: Option<String>,
}

/// What a log-in gives.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct LoginAnswer {
    #[serde(rename = "sessionkey")]
    pub(crate) session_key: String,
    #[serde(default, rename = "is2faenabled")]
    pub(crate) second_factor_enabled: String,
    #[serde(default, rename = "is2faverified")]
    pub(crate) second_factor_verified: String,
}

/// An object that a list command gives.
pub(crate) trait Listed: DeserializeOwned {
    /// The command, in its usual spelling.
    const COMMAND: &'static str;
    /// The name of the array in the answer.
    const OBJECT: &'static str;
}

impl Listed for Domain {
    const COMMAND: &'static str = "listDomains";
    const OBJECT: &'static str = "domain";
}

impl Listed for Account {
    const COMMAND: &'static str = "listAccounts";
    const OBJECT: &'static str = "account";
}

impl Listed for User {
    const COMMAND: &'static str = "listUsers";
    const OBJECT: &'static str = "user";
}

impl Listed for Event {
    const COMMAND: &'static str = "listEvents";
    const OBJECT: &'static str = "event";
}

impl Listed for Configuration {
    const COMMAND: &'static str = "listConfigurations";
    const OBJECT: &'static str = "configuration";
}

/// One page of a list, or the whole answer of a question for one id.
#[derive(Debug)]
pub(crate) struct Page<T> {
    /// How many there are on all pages; `None` in the empty answer `{}`.
    pub(crate) count: Option<u64>,
    pub(crate) items: Vec<T>,
}

type Fields<'a> = BTreeMap<String, &'a RawValue>;

#[derive(Deserialize)]
struct Failure {
    errorcode: u16,
    #[serde(default)]
    errortext: String,
}

/// Reads a list command's answer.
pub(crate) fn decode_list<T: Listed>(status: u16, body: &[u8]) -> Result<Page<T>, CloudError> {
    let command = T::COMMAND;
    let fields: Fields<'_> = parse(command, open(command, status, body)?)?;
    let count = fields.get("count").map(|raw| parse::<u64>(command, raw)).transpose()?;
    let items: Vec<T> = match fields.get(T::OBJECT) {
        Some(raw) => parse(command, raw)?,
        None => Vec::new(),
    };
    let length = u64::try_from(items.len()).unwrap_or(u64::MAX);
    if !items.is_empty() && count.is_none_or(|count| count < length) {
        return Err(odd(command, "it has rows and no count of them"));
    }
    Ok(Page { count, items })
}

/// Reads the answer of a log-in.
pub(crate) fn decode_login(status: u16, body: &[u8]) -> Result<LoginAnswer, CloudError> {
    match open("login", status, body) {
        Ok(content) => parse("login", content),
        Err(CloudError::Refused { code: 531, .. }) => Err(CloudError::LoginRefused),
        Err(error) => Err(error),
    }
}

/// Opens the envelope: the content of a success, or the error that CloudStack tells.
fn open<'a>(command: &'static str, status: u16, body: &'a [u8]) -> Result<&'a RawValue, CloudError> {
    let envelope: Fields<'a> =
        serde_json::from_slice(body).map_err(|error| odd(command, &unreadable(status, &error)))?;
    let own = format!("{}response", command.to_lowercase());
    let mut entries = envelope.into_iter();
    let (Some((name, content)), None) = (entries.next(), entries.next()) else {
        return Err(odd(command, "it is not one response"));
    };
    if name != own && name != "errorresponse" {
        return Err(odd(command, "it is the response of another command"));
    }
    if status == 200 && name == own {
        return Ok(content);
    }
    let failure: Failure = parse(command, content)?;
    Err(refusal(command, &failure))
}

fn parse<'a, T: Deserialize<'a>>(command: &'static str, raw: &'a RawValue) -> Result<T, CloudError> {
    // The parser's words may quote a value, so only where it stumbled is told.
    serde_json::from_str(raw.get())
        .map_err(|error| odd(command, &format!("unexpected JSON at column {}", error.column())))
}

fn unreadable(status: u16, error: &serde_json::Error) -> String {
    if error.is_eof() { format!("status {status}, cut or empty") } else { format!("status {status}, not JSON") }
}

fn odd(command: &'static str, what: &str) -> CloudError {
    CloudError::Odd { command, what: what.to_owned() }
}

fn refusal(command: &'static str, failure: &Failure) -> CloudError {
    match failure.errorcode {
        401 => CloudError::Unauthorized { command },
        432 => CloudError::NotAllowed { command },
        431 if says_not_there(&failure.errortext) => CloudError::NotThere,
        code => CloudError::Refused { command, code, text: failure.errortext.chars().take(TEXT_CHARS_MAX).collect() },
    }
}

/// The two texts that were recorded for an id that is gone. Anything else proves nothing.
fn says_not_there(text: &str) -> bool {
    text.starts_with("Unable to find account by id ") || text.contains(" entity does not exist ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorded;

    /// What a recording must decode to, by its name where that is not "a list".
    fn check<T: Listed>(name: &str, status: u16, body: &[u8]) {
        let decoded = decode_list::<T>(status, body);
        match (name, &decoded) {
            ("answer-xml.json", Err(CloudError::Odd { .. })) => {}
            (_, Err(CloudError::Unauthorized { .. })) => assert_eq!(status, 401, "{name}"),
            (_, Err(CloudError::NotAllowed { .. })) => assert_eq!(status, 432, "{name}"),
            ("list-account-deleted.json" | "list-domain-unknown.json" | "error-bad-uuid.json", Err(error)) => {
                assert!(matches!(error, CloudError::NotThere), "{name}: {error}");
            }
            ("list-domains-pagesize-only.json" | "list-domains-pagesize-too-large.json", Err(error)) => {
                assert!(matches!(error, CloudError::Refused { code: 431, .. }), "{name}: {error}");
            }
            (_, Ok(page)) => {
                assert_eq!(status, 200, "{name}");
                let value: serde_json::Value = serde_json::from_slice(body).unwrap();
                let content = &value[format!("{}response", T::COMMAND.to_lowercase())];
                assert_eq!(page.count, content["count"].as_u64(), "{name}");
                assert_eq!(page.items.len(), content[T::OBJECT].as_array().map_or(0, Vec::len), "{name}");
            }
            (_, Err(error)) => panic!("{name}: {error}"),
        }
    }

    #[test]
    fn every_recorded_answer_of_a_command_in_use_decodes() {
        let mut seen = BTreeMap::new();
        for (name, recording) in recorded::all() {
            let Some(command) = recording["request"]["parameters"]["command"].as_str() else { continue };
            let (status, body) = recorded::answer(&recording);
            match command {
                "listDomains" => check::<Domain>(&name, status, &body),
                "listAccounts" => check::<Account>(&name, status, &body),
                "listUsers" => check::<User>(&name, status, &body),
                "listEvents" => check::<Event>(&name, status, &body),
                "listConfigurations" => check::<Configuration>(&name, status, &body),
                "login" => match decode_login(status, &body) {
                    Ok(answer) => assert!(status == 200 && answer.session_key.len() == 27, "{name}"),
                    Err(error) => assert!(status == 531 && matches!(error, CloudError::LoginRefused), "{name}"),
                },
                _ => continue,
            }
            *seen.entry(command.to_owned()).or_insert(0) += 1;
        }
        for command in ["listDomains", "listAccounts", "listUsers", "listEvents", "listConfigurations", "login"] {
            assert!(seen.get(command).copied().unwrap_or(0) >= 2, "{command} is recorded: {seen:?}");
        }
    }

    #[test]
    fn a_user_carries_name_mail_and_account() {
        let (status, body) = recorded::answer(&recorded::json("cloudstack-4.23/list-accounts-minimal.json"));
        let page = decode_list::<Account>(status, &body).unwrap();
        let ada = page.items.iter().find(|account| account.name == "ada").unwrap();
        assert_eq!(ada.users.len(), 2);
        assert_eq!((ada.users[0].first_name.as_str(), ada.users[0].last_name.as_str()), ("Ada", "Byron"));
        assert_eq!(ada.users[0].email.as_deref(), Some("ada@acme.example"));
        assert_eq!(ada.users[0].account_id.as_ref(), Some(&ada.id));
        assert_eq!(ada.state, "enabled");
    }

    #[test]
    fn what_is_cut_empty_or_foreign_is_no_answer() {
        let (_, whole) = recorded::answer(&recorded::json("cloudstack-4.23/list-domains-minimal.json"));
        for end in [0, 1, whole.len() / 2, whole.len() - 1] {
            assert!(matches!(decode_list::<Domain>(200, &whole[..end]), Err(CloudError::Odd { .. })), "cut at {end}");
        }
        for body in [
            "{}",
            "[]",
            "null",
            "<html></html>",
            r#"{"listaccountsresponse":{"count":0}}"#,
            r#"{"listdomainsresponse":{"domain":[{"id":"a","level":0,"path":"ROOT"}]}}"#,
            r#"{"listdomainsresponse":{"count":1,"domain":[{"id":"a"}]}}"#,
            r#"{"listdomainsresponse":{"count":1},"more":{}}"#,
            r#"{"listdomainsresponse":[]}"#,
        ] {
            assert!(matches!(decode_list::<Domain>(200, body.as_bytes()), Err(CloudError::Odd { .. })), "{body}");
        }
        assert!(matches!(decode_list::<Domain>(503, b"{\"listdomainsresponse\":{}}"), Err(CloudError::Odd { .. })));
    }

    #[test]
    fn only_the_recorded_texts_say_that_an_id_is_gone() {
        for text in ["Unable to find domain", "account by id 11", "entity does not exis", ""] {
            let body = format!(r#"{{"listaccountsresponse":{{"errorcode":431,"errortext":"{text}"}}}}"#);
            let error = decode_list::<Account>(431, body.as_bytes()).unwrap_err();
            assert!(matches!(error, CloudError::Refused { code: 431, .. }), "{text}");
        }
    }
}
