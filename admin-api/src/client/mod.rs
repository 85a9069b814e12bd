//! A typed client of the Admin API. It works against this store's server and against a real HyperStore.
//!
//! Credentials are sent with the first request, redirects are not followed and no proxy of the environment is used: the
//! service password goes to the configured address only. One file a resource: groups, users, credentials, system.

mod credential;
mod error;
mod group;
mod paging;
mod system;
mod transport;
mod user;

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use secrecy::SecretString;
use url::Url;

pub use self::{
    error::{Error, Result},
    paging::{PAGE_ROWS, Page, Paging},
};
pub use crate::wire::{
    BucketName, BucketUsage, Contact, Credential, GroupInfo, GroupUpdate, UserBucketUsage, UserBuckets, UserInfo,
    UserStatus, UserType, UserTypeFilter, UserUpdate,
};

/// Where an Admin API is and how to enter it.
#[derive(Clone)]
pub struct ClientConfig {
    /// Scheme, host and port, such as `https://store.example:19443`; a path is kept as a prefix.
    pub base_url: Url,
    /// The service account.
    pub user: String,
    /// Its password.
    pub password: SecretString,
    /// A file with the certificates (PEM) to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Certificates (PEM) to trust instead of the system's, given directly.
    pub ca_pem: Option<Vec<u8>>,
    /// False trusts every certificate and host name: for a first try only.
    pub validate_tls: bool,
    /// The time a call may take from its start to the end of its answer.
    pub timeout: Duration,
}

impl ClientConfig {
    /// A configuration with the time limit that CloudStack's own plug-in has (5 seconds) and full TLS checks.
    #[must_use]
    pub fn new(base_url: Url, user: impl Into<String>, password: SecretString) -> Self {
        Self {
            base_url,
            user: user.into(),
            password,
            ca_file: None,
            ca_pem: None,
            validate_tls: true,
            timeout: Duration::from_secs(5),
        }
    }
}

impl fmt::Debug for ClientConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientConfig")
            .field("host", &self.base_url.host_str())
            .field("port", &self.base_url.port_or_known_default())
            .field("user", &self.user)
            .field("validate_tls", &self.validate_tls)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// A client of one Admin API; clones share its connections.
#[derive(Debug, Clone)]
pub struct AdminClient {
    http: reqwest::Client,
    config: Arc<ClientConfig>,
}

impl AdminClient {
    /// Prepares a client; nothing is sent yet.
    ///
    /// # Errors
    /// [`Error::Config`] when the address is no HTTP URL, holds a password, or the certificates cannot be read.
    pub fn new(config: ClientConfig) -> Result<Self> {
        if !matches!(config.base_url.scheme(), "http" | "https") || config.base_url.host().is_none() {
            return Err(Error::config("the address is not an http or https URL"));
        }
        if !config.base_url.username().is_empty() || config.base_url.password().is_some() {
            return Err(Error::config("the address must not hold a user or password"));
        }
        let mut builder = reqwest::Client::builder()
            .timeout(config.timeout)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .user_agent(concat!("cloudhold/", env!("CARGO_PKG_VERSION")));
        let certificates = certificates(&config)?;
        if !config.validate_tls {
            builder = builder.tls_danger_accept_invalid_certs(true);
        } else if !certificates.is_empty() || config.base_url.scheme() == "http" {
            // Without TLS no certificate is looked at, and the system's need not be there.
            builder = builder.tls_certs_only(certificates);
        }
        let http = builder.build().map_err(|error| Error::config_from("no HTTP client", error))?;
        Ok(Self { http, config: Arc::new(config) })
    }

    /// The address that calls go to.
    #[must_use]
    pub fn base_url(&self) -> &Url {
        &self.config.base_url
    }
}

/// The certificates to trust instead of the system's.
fn certificates(config: &ClientConfig) -> Result<Vec<reqwest::Certificate>> {
    let mut pem = config.ca_pem.clone().unwrap_or_default();
    if let Some(path) = &config.ca_file {
        let file = std::fs::read(path)
            .map_err(|error| Error::config_from(format!("the CA file {} cannot be read", path.display()), error))?;
        pem.push(b'\n');
        pem.extend(file);
    }
    if pem.is_empty() {
        return Ok(Vec::new());
    }
    let found = reqwest::Certificate::from_pem_bundle(&pem)
        .map_err(|error| Error::config_from("the CA certificates are not PEM", error))?;
    if found.is_empty() {
        return Err(Error::config("there is no certificate among the CA certificates"));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(url: &str) -> ClientConfig {
        ClientConfig::new(Url::parse(url).unwrap(), "sysadmin", "a secret word".into())
    }

    #[test]
    fn addresses_that_cannot_work_or_carry_a_password_are_refused() {
        for url in ["ftp://store.example/", "unix:/run/x", "https://a:b@store.example/", "https://a@store.example/"] {
            assert!(matches!(AdminClient::new(config(url)), Err(Error::Config { .. })), "{url}");
        }
        assert!(AdminClient::new(config("https://store.example:19443")).is_ok());
    }

    #[test]
    fn certificates_that_are_none_are_refused() {
        let mut wrong = config("https://store.example:19443");
        wrong.ca_pem = Some(b"no certificate".to_vec());
        assert!(matches!(AdminClient::new(wrong), Err(Error::Config { .. })));
        let mut absent = config("https://store.example:19443");
        absent.ca_file = Some("/nonexistent/ca.pem".into());
        assert!(matches!(AdminClient::new(absent), Err(Error::Config { .. })));
    }

    #[test]
    fn debug_shows_no_password() {
        let client = AdminClient::new(config("https://store.example:19443")).unwrap();
        assert!(!format!("{client:?}").contains("secret word"));
    }
}
