//! One client of CloudStack's API: signs with an API key or keeps a session, posts forms, and reads pages.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use backon::{ExponentialBuilder, Retryable};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{CONTENT_TYPE, COOKIE, HeaderMap};
use secrecy::{ExposeSecret, SecretString};
use time::macros::format_description;
use tokio::sync::Mutex;
use url::Url;
use uuid::Uuid;

use super::{
    error::CloudError,
    session::Session,
    sign::signature,
    wire::{Account, Configuration, Domain, Event, Listed, Page, User, decode_list},
};
use crate::{Clock, config::CloudStackConfig};

/// Rows a page: CloudStack's largest unless an operator lowered `default.page.size`, which its refusal tells.
const PAGE_ROWS_MAX: u32 = 500;
/// How long a signed request stays valid; newest versions refuse more than 15 minutes.
const SIGNED_FOR: time::Duration = time::Duration::minutes(10);
/// A page of 500 accounts with everything in it has 2 MB; what is far beyond that is no answer.
const ANSWER_SIZE_BYTES_MAX: usize = 64 << 20;
/// Tries of one question before the pass that asked gives up.
const TRIES_MAX: usize = 3;

/// How the connector makes itself known.
enum Credentials {
    Key { api_key: String, secret_key: SecretString },
    Login { username: String, password: SecretString, domain: String, session: Mutex<Option<Session>> },
}

/// A caller's own session, forwarded to ask who the caller is.
pub(crate) struct CallerCookies {
    pub(crate) session_id: String,
    pub(crate) session_key: String,
}

/// The client. It follows no redirect and uses no proxy of the environment: keys go to the configured address only.
pub(crate) struct Cloud {
    http: reqwest::Client,
    url: Url,
    credentials: Credentials,
    clock: Clock,
    page_rows: AtomicU32,
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

type Parameters = Vec<(String, String)>;

impl Cloud {
    /// Prepares a client; nothing is sent yet.
    pub(crate) fn new(config: &CloudStackConfig, clock: Clock) -> Result<Self, CloudError> {
        let wrong = |text: String| CloudError::Config(text);
        let url = config.endpoint().map_err(wrong)?;
        let mut builder = reqwest::Client::builder()
            .timeout(Duration::from_secs(config.request_timeout_s))
            .connect_timeout(Duration::from_secs(config.request_timeout_s.min(10)))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .user_agent(concat!("cloudhold/", env!("CARGO_PKG_VERSION")));
        if let Some(path) = &config.ca_file {
            builder = builder.tls_certs_merge(certificates(path).map_err(wrong)?);
        }
        let http = builder.build().map_err(|error| wrong(error.to_string()))?;
        let credentials = credentials(config).map_err(wrong)?;
        Ok(Self { http, url, credentials, clock, page_rows: AtomicU32::new(PAGE_ROWS_MAX) })
    }

    /// True when a list of `count` rows has no page after this one.
    pub(crate) fn is_last_page(&self, count: u64, page: u32) -> bool {
        u64::from(page) * u64::from(self.page_rows.load(Ordering::Relaxed)) >= count
    }

    /// Scheme, host and port: what a browser calls the origin of CloudStack's pages.
    pub(crate) fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// One page of all domains, with the least detail that has what we need.
    pub(crate) async fn domains(&self, page: u32) -> Result<Page<Domain>, CloudError> {
        self.page(&[("listall", "true"), ("details", "min")], page).await
    }

    /// One page of all accounts with their users.
    pub(crate) async fn accounts(&self, page: u32) -> Result<Page<Account>, CloudError> {
        self.page(&[("listall", "true"), ("details", "min")], page).await
    }

    /// One page of the accounts of a domain and of all below it.
    pub(crate) async fn accounts_below(&self, domain_id: &str, page: u32) -> Result<Page<Account>, CloudError> {
        let filter = [("domainid", domain_id), ("isrecursive", "true"), ("listall", "true"), ("details", "min")];
        self.page(&filter, page).await
    }

    /// One page of the events since a time, written as the server writes times (`2026-11-22 04:21:15`).
    pub(crate) async fn events(&self, since: Option<&str>, page: u32) -> Result<Page<Event>, CloudError> {
        match since {
            Some(since) => self.page(&[("listall", "true"), ("startdate", since)], page).await,
            None => self.page(&[("listall", "true")], page).await,
        }
    }

    /// The settings whose name holds a word.
    pub(crate) async fn configurations(&self, keyword: &str) -> Result<Page<Configuration>, CloudError> {
        self.page(&[("keyword", keyword)], 1).await
    }

    /// The domain of an id, or [`CloudError::NotThere`] when CloudStack says that there is none.
    pub(crate) async fn domain(&self, id: &str) -> Result<Domain, CloudError> {
        self.one(id, &[("details", "min")], |domain: &Domain| &domain.id).await
    }

    /// The account of an id, or [`CloudError::NotThere`].
    pub(crate) async fn account(&self, id: &str) -> Result<Account, CloudError> {
        self.one(id, &[("details", "min")], |account: &Account| &account.id).await
    }

    /// The account that a user belongs to; `None` when the user is gone, which is answered by 431 or by nothing. Nothing
    /// is concluded from it but where else to look.
    pub(crate) async fn account_of_user(&self, id: &str) -> Result<Option<String>, CloudError> {
        if !is_uuid(id) {
            return Ok(None);
        }
        let page: Page<User> = match self.page(&[("id", id), ("listall", "true")], 1).await {
            Ok(page) => page,
            Err(CloudError::NotThere) => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(page.items.into_iter().find(|user| user.id == id).and_then(|user| user.account_id))
    }

    /// The accounts that a caller's own session shows when nothing else is asked for: its own one, and more when a
    /// setting lets users see their whole domain.
    pub(crate) async fn accounts_of_caller(&self, caller: &CallerCookies) -> Result<Page<Account>, CloudError> {
        let session = Session { id: caller.session_id.clone(), key: caller.session_key.clone() };
        let parameters = vec![
            pair("command", Account::COMMAND),
            pair("response", "json"),
            pair("details", "min"),
            pair("page", "1"),
            pair("pagesize", "2"),
            pair("sessionkey", &session.key),
        ];
        let answer = self.send(Account::COMMAND, &parameters, Some(&session)).await?;
        decode_list(answer.status, &answer.body)
    }

    /// One object by its id. An id that is no UUID is never sent, because CloudStack answers it as if it were gone.
    async fn one<T: Listed>(&self, id: &str, more: &[(&str, &str)], of: fn(&T) -> &String) -> Result<T, CloudError> {
        let odd = |what: &str| CloudError::Odd { command: T::COMMAND, what: what.to_owned() };
        if !is_uuid(id) {
            return Err(odd("it would ask for an id that is no UUID"));
        }
        let mut filter = vec![("id", id), ("listall", "true")];
        filter.extend(more);
        let page: Page<T> = self.page(&filter, 1).await?;
        let mut items = page.items.into_iter();
        match (items.next(), items.next()) {
            (Some(item), None) if of(&item) == id => Ok(item),
            _ => Err(odd("it is not the one object asked for")),
        }
    }

    /// One page, asked again with growing pauses when the failure may pass.
    async fn page<T: Listed>(&self, filter: &[(&str, &str)], page: u32) -> Result<Page<T>, CloudError> {
        let ask = || async {
            let mut parameters = vec![pair("command", T::COMMAND), pair("response", "json")];
            parameters.extend(filter.iter().map(|(name, value)| pair(name, value)));
            parameters.push(pair("page", &page.to_string()));
            parameters.push(pair("pagesize", &self.page_rows.load(Ordering::Relaxed).to_string()));
            let answer = self.authenticated(T::COMMAND, parameters).await?;
            decode_list(answer.status, &answer.body)
        };
        let backoff = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(200))
            .with_max_times(TRIES_MAX - 1)
            .with_jitter();
        let mut result = ask.retry(backoff).when(CloudError::is_transient).await;
        if let Err(error) = &result
            && let Some(allowed) = rows_allowed(error)
            && page == 1
        {
            self.page_rows.store(allowed, Ordering::Relaxed);
            result = ask().await;
        }
        let outcome = if result.is_ok() { "ok" } else { "error" };
        metrics::counter!("cloudhold_connector_cloudstack_questions_total", "command" => T::COMMAND, "outcome" => outcome)
            .increment(1);
        result
    }

    async fn authenticated(&self, command: &'static str, parameters: Parameters) -> Result<Answer, CloudError> {
        match &self.credentials {
            Credentials::Key { api_key, secret_key } => {
                let signed = self.signed(parameters, api_key, secret_key)?;
                self.send(command, &signed, None).await
            }
            Credentials::Login { session, .. } => {
                // The lock is held over the call: a session that two log-ins fight for would be lost twice.
                let mut kept = session.lock().await;
                for _ in 0..2 {
                    let current = match kept.take() {
                        Some(session) => session,
                        None => self.log_in().await?,
                    };
                    let mut with_key = parameters.clone();
                    with_key.push(pair("sessionkey", &current.key));
                    let answer = self.send(command, &with_key, Some(&current)).await?;
                    if answer.status != 401 {
                        *kept = Some(current);
                        return Ok(answer);
                    }
                }
                Err(CloudError::Unauthorized { command })
            }
        }
    }

    fn signed(
        &self,
        mut parameters: Parameters,
        api_key: &str,
        secret_key: &SecretString,
    ) -> Result<Parameters, CloudError> {
        let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]+0000");
        let expires = (self.clock.now().to_offset(time::UtcOffset::UTC) + SIGNED_FOR)
            .format(format)
            .map_err(|error| CloudError::Config(error.to_string()))?;
        parameters.push(pair("apiKey", api_key));
        parameters.push(pair("signatureVersion", "3"));
        parameters.push(pair("expires", &expires));
        let signature = signature(secret_key, &parameters);
        parameters.push(("signature".to_owned(), signature));
        Ok(parameters)
    }

    async fn log_in(&self) -> Result<Session, CloudError> {
        let Credentials::Login { username, password, domain, .. } = &self.credentials else {
            return Err(CloudError::Config("there is no user name to log in with".to_owned()));
        };
        let parameters = vec![
            pair("command", "login"),
            pair("username", username),
            pair("password", password.expose_secret()),
            pair("domain", domain),
            pair("response", "json"),
        ];
        let answer = self.send("login", &parameters, None).await?;
        Session::from_login(answer.status, &answer.headers, &answer.body)
    }

    /// Posts a form and reads the whole answer.
    async fn send(
        &self,
        command: &'static str,
        parameters: &Parameters,
        session: Option<&Session>,
    ) -> Result<Answer, CloudError> {
        let mut request = self
            .http
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form(parameters));
        if let Some(session) = session {
            request = request.header(COOKIE, session.cookie_header());
        }
        let mut response = request.send().await.map_err(CloudError::unreachable)?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(CloudError::unreachable)? {
            body.extend_from_slice(&chunk);
            if body.len() > ANSWER_SIZE_BYTES_MAX {
                return Err(CloudError::Odd { command, what: "it does not end".to_owned() });
            }
        }
        Ok(Answer { status, headers, body })
    }
}

/// True for a UUID in its usual spelling with hyphens.
pub(crate) fn is_uuid(id: &str) -> bool {
    id.len() == 36 && Uuid::try_parse(id).is_ok()
}

/// The largest page that CloudStack allows, when it refused one for its size.
fn rows_allowed(error: &CloudError) -> Option<u32> {
    let CloudError::Refused { code: 431, text, .. } = error else { return None };
    let (said, number) = text.rsplit_once(':')?;
    let allowed = number.trim().parse().ok()?;
    (said.starts_with("Page size can't exceed") && (1..PAGE_ROWS_MAX).contains(&allowed)).then_some(allowed)
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

fn form(parameters: &Parameters) -> String {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let pairs: Vec<String> =
        parameters.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    pairs.join("&")
}

fn credentials(config: &CloudStackConfig) -> Result<Credentials, String> {
    match (&config.api_key, &config.username) {
        (Some(api_key), None) => {
            Ok(Credentials::Key { api_key: api_key.clone(), secret_key: config.secret_key_value()? })
        }
        (None, Some(username)) => Ok(Credentials::Login {
            username: username.clone(),
            password: config.password_value()?,
            domain: config.domain.clone(),
            session: Mutex::new(None),
        }),
        (Some(_), Some(_)) => Err("set either api_key or username, not both".to_owned()),
        (None, None) => Err("set api_key and secret_key, or username and password".to_owned()),
    }
}

fn certificates(path: &std::path::Path) -> Result<Vec<reqwest::Certificate>, String> {
    let shown = path.display();
    let pem = std::fs::read(path).map_err(|error| format!("ca_file {shown} cannot be read: {error}"))?;
    let found = reqwest::Certificate::from_pem_bundle(&pem).map_err(|_| format!("ca_file {shown} is not PEM"))?;
    if found.is_empty() { Err(format!("ca_file {shown} holds no certificate")) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cloudstack::wire::decode_list, recorded};

    #[test]
    fn a_refusal_of_a_large_page_tells_the_size_that_is_allowed() {
        let (status, body) = recorded::answer(&recorded::json("cloudstack-4.23/list-domains-pagesize-too-large.json"));
        let body = String::from_utf8(body).unwrap().replace("value: 500", "value: 200");
        let error = decode_list::<Domain>(status, body.as_bytes()).unwrap_err();
        assert_eq!(rows_allowed(&error), Some(200));
        assert_eq!(rows_allowed(&CloudError::NotThere), None);
    }

    #[test]
    fn only_uuids_are_asked_for() {
        assert!(is_uuid("6d3a14a3-4e97-4ae7-8b3b-8962928bfe28"));
        for other in
            ["", "11", "not-a-uuid", "6d3a14a34e974ae78b3b8962928bfe28", "{6d3a14a3-4e97-4ae7-8b3b-8962928bfe2}"]
        {
            assert!(!is_uuid(other), "{other}");
        }
    }
}
