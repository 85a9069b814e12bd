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
    authorization: Option<HeaderValue>,
}

impl Webhook {
    pub(crate) fn new(url: &str, token_file: Option<&PathBuf>, timeout: Duration) -> Result<Self, Error> {
        let authorization = token_file.map(|path| authorization(&secret(path)?)).transpose()?;
        // A token must not follow to wherever the receiver points.
        let client = reqwest::Client::builder().timeout(timeout).redirect(Policy::none()).build();
        Ok(Self { client: client.map_err(Error::Client)?, url: url.to_owned(), authorization })
    }

    pub(crate) async fn deliver(&self, message: Vec<u8>) -> Result<(), Error> {
        let mut request = self.client.post(&self.url).header(CONTENT_TYPE, "application/json").body(message);
        if let Some(value) = &self.authorization {
            request = request.header(AUTHORIZATION, value.clone());
        }
        // The URL may hold what only the receiver should read.
        let answer = request.send().await.map_err(|error| Error::Unreachable(error.without_url()))?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            status => Err(Error::Refused(status.as_u16())),
        }
    }
}

/// The header that shows a token. Where there can be none, nothing must be sent without it.
fn authorization(token: &SecretString) -> Result<HeaderValue, Error> {
    let value = HeaderValue::try_from(format!("Bearer {}", token.expose_secret()));
    let mut value = value.map_err(|_| Error::Token)?;
    value.set_sensitive(true);
    Ok(value)
}

/// What a file holds that nobody else should read.
pub(crate) fn secret(path: &Path) -> Result<SecretString, Error> {
    let text = std::fs::read_to_string(path).map_err(|source| Error::File { path: path.to_owned(), source })?;
    Ok(SecretString::from(text.trim_end_matches(['\r', '\n'])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_no_header_can_show_is_refused_without_showing_it() {
        let refused = authorization(&SecretString::from("one\nhush")).expect_err("two lines");
        assert!(matches!(refused, Error::Token) && !format!("{refused:?} {refused}").contains("hush"));
        let taken = authorization(&SecretString::from("hush")).expect("a header");
        assert!(taken.is_sensitive() && taken == "Bearer hush");
    }
}
