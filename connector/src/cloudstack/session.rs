//! The log-in with user name and password, for clouds that give out no API keys.

use reqwest::header::{HeaderMap, SET_COOKIE};

use super::{
    error::CloudError,
    wire::{LoginAnswer, decode_login},
};

/// A session of CloudStack; wiped from view in `Debug` because it is as good as a password while it lasts.
#[derive(Clone)]
pub(crate) struct Session {
    /// The value of the cookie `JSESSIONID`.
    pub(crate) id: String,
    /// The cookie and the parameter `sessionkey`.
    pub(crate) key: String,
}

impl Session {
    /// The header that carries both cookies.
    pub(crate) fn cookie_header(&self) -> String {
        format!("JSESSIONID={}; sessionkey={}", self.id, self.key)
    }

    /// Takes the session out of the answer to a log-in.
    pub(crate) fn from_login(status: u16, headers: &HeaderMap, body: &[u8]) -> Result<Self, CloudError> {
        let LoginAnswer { session_key, second_factor_enabled, second_factor_verified } = decode_login(status, body)?;
        if second_factor_enabled == "true" && second_factor_verified != "true" {
            return Err(CloudError::SecondFactor);
        }
        let id = cookie(headers, "JSESSIONID")
            .ok_or_else(|| CloudError::Odd { command: "login", what: "it sets no JSESSIONID".to_owned() })?;
        Ok(Self { id, key: session_key })
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Session(..)")
    }
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get_all(SET_COOKIE).iter().filter_map(|value| value.to_str().ok()).find_map(|cookie| {
        let (found, value) = cookie.split(';').next()?.split_once('=')?;
        (found.trim() == name).then(|| value.trim().to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorded;

    fn recorded_login(name: &str) -> Result<Session, CloudError> {
        let recording = recorded::json(name);
        let (status, body) = recorded::answer(&recording);
        let mut headers = HeaderMap::new();
        for cookie in recording["answer"]["set_cookie"].as_array().unwrap() {
            headers.append(SET_COOKIE, cookie.as_str().unwrap().parse().unwrap());
        }
        Session::from_login(status, &headers, &body)
    }

    #[test]
    fn the_recorded_log_in_gives_both_cookies() {
        let session = recorded_login("cloudstack-4.23/login.json").unwrap();
        assert_eq!(
            session.cookie_header(),
            "JSESSIONID=node02ptbei3dmfdwrl86mcp10xrf1.node0; sessionkey=Co0HVheq4-USTv9Zsrvwn0GQxB0"
        );
        assert!(!format!("{session:?}").contains("Co0HV"));
    }

    #[test]
    fn a_wrong_password_and_a_disabled_account_are_refusals() {
        for name in ["login-wrong-password", "disabled-account-login", "locked-account-login"] {
            let error = recorded_login(&format!("cloudstack-4.23/{name}.json")).unwrap_err();
            assert!(matches!(error, CloudError::LoginRefused), "{name}");
        }
    }
}
