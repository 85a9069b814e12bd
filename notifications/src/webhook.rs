//! A webhook: a POST for each event, which any 2xx answers.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::redirect::Policy;
use secrecy::{ExposeSecret, SecretString};

use crate::Error;

/// A receiver of POSTs.
#[derive(Clone, Debug)]
pub(crate) struct Webhook {
    client: reqwest::Client,
    url: String,
    token: Option<SecretString>,
}

impl Webhook {
    pub(crate) fn new(url: &str, token_file: Option<&PathBuf>, timeout: Duration) -> Result<Self, Error> {
        let token = token_file.map(|path| secret(path)).transpose()?;
        // A token must not follow to wherever the receiver points.
        let client = reqwest::Client::builder().timeout(timeout).redirect(Policy::none()).build();
        Ok(Self { client: client.map_err(Error::Client)?, url: url.to_owned(), token })
    }

    pub(crate) async fn deliver(&self, message: Vec<u8>) -> Result<(), Error> {
        let mut request = self.client.post(&self.url).header(CONTENT_TYPE, "application/json").body(message);
        if let Some(token) = &self.token
            && let Ok(mut value) = HeaderValue::try_from(format!("Bearer {}", token.expose_secret()))
        {
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        // The URL may hold what only the receiver should read.
        let answer = request.send().await.map_err(|error| Error::Unreachable(error.without_url()))?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            status => Err(Error::Refused(status.as_u16())),
        }
    }
}

/// What a file holds that nobody else should read.
pub(crate) fn secret(path: &Path) -> Result<SecretString, Error> {
    let text = std::fs::read_to_string(path).map_err(|source| Error::File { path: path.to_owned(), source })?;
    Ok(SecretString::from(text.trim_end_matches(['\r', '\n'])))
}
