//! Calls on S3 key pairs.

use reqwest::StatusCode;
use secrecy::{ExposeSecret, SecretString};

use super::{
    AdminClient, Credential,
    error::{Error, Result},
    transport::{Answer, Call},
};

fn flag(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

/// A list of key pairs: 204 is none, 400 is no such user.
fn list(answer: &Answer) -> Result<Vec<Credential>> {
    match answer.status {
        StatusCode::OK => answer.list(),
        StatusCode::NO_CONTENT => Ok(Vec::new()),
        StatusCode::BAD_REQUEST => Err(Error::NotFound),
        _ => Err(answer.refused()),
    }
}

impl AdminClient {
    /// Makes a new key pair for the user.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such user; [`Error::Limit`] when it has as many as it may.
    pub async fn put_credential(&self, group_id: &str, user_id: &str) -> Result<Credential> {
        let call = Call::put("/user/credentials").query("userId", user_id).query("groupId", group_id);
        let answer = self.send(call).await?;
        match answer.status {
            StatusCode::OK => answer.json(),
            StatusCode::BAD_REQUEST => Err(Error::NotFound),
            StatusCode::FORBIDDEN => Err(Error::Limit),
            _ => Err(answer.refused()),
        }
    }

    /// Gives the user a key pair made elsewhere.
    ///
    /// # Errors
    /// [`Error::Exists`] when the access key is taken; [`Error::Limit`]; [`Error::Refused`] with status 400 when there
    /// is no such user or the pair is malformed.
    pub async fn post_credential(
        &self,
        group_id: &str,
        user_id: &str,
        access_key: &str,
        secret_key: &SecretString,
    ) -> Result<()> {
        let call = Call::post("/user/credentials")
            .query("userId", user_id)
            .query("groupId", group_id)
            .query("accessKey", access_key)
            .query("secretKey", secret_key.expose_secret());
        let answer = self.send(call).await?;
        match answer.status {
            StatusCode::CONFLICT => Err(Error::Exists),
            StatusCode::FORBIDDEN => Err(Error::Limit),
            _ => answer.done(),
        }
    }

    /// The key pair, or `None` when there is none of that access key.
    ///
    /// # Errors
    /// As every call.
    pub async fn get_credential(&self, access_key: &str) -> Result<Option<Credential>> {
        let answer = self.send(Call::get("/user/credentials").query("accessKey", access_key)).await?;
        match answer.status {
            StatusCode::OK => answer.json().map(Some),
            StatusCode::NO_CONTENT => Ok(None),
            _ => Err(answer.refused()),
        }
    }

    /// Deletes the key pair.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none of that access key.
    pub async fn delete_credential(&self, access_key: &str) -> Result<()> {
        let answer = self.send(Call::delete("/user/credentials").query("accessKey", access_key)).await?;
        match answer.status {
            StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND => Err(Error::NotFound),
            _ => answer.done(),
        }
    }

    /// Switches the key pair on or off.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none of that access key.
    pub async fn set_credential_status(&self, access_key: &str, active: bool) -> Result<()> {
        let call =
            Call::post("/user/credentials/status").query("accessKey", access_key).query("isActive", flag(active));
        let answer = self.send(call).await?;
        match answer.status {
            StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND => Err(Error::NotFound),
            _ => answer.done(),
        }
    }

    /// The key pairs of a user, oldest first; without those of its IAM users when `root_only`.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such user.
    pub async fn list_credentials(&self, group_id: &str, user_id: &str, root_only: bool) -> Result<Vec<Credential>> {
        let call = Call::get("/user/credentials/list")
            .query("userId", user_id)
            .query("groupId", group_id)
            .query("isRootAccountOnly", flag(root_only));
        list(&self.send(call).await?)
    }

    /// The key pairs of a user that work now.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such user.
    pub async fn list_active_credentials(&self, group_id: &str, user_id: &str) -> Result<Vec<Credential>> {
        let call = Call::get("/user/credentials/list/active").query("userId", user_id).query("groupId", group_id);
        list(&self.send(call).await?)
    }
}
