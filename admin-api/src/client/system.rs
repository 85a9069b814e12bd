//! Calls on the whole system: version, health, what is stored.

use reqwest::{Method, StatusCode};

use super::{
    AdminClient, UserBucketUsage, UserBuckets,
    error::{Error, Result},
    transport::Call,
};

impl AdminClient {
    /// The version of the server, a line of text such as `8.1 Compiled: 2023-11-11 16:30`.
    ///
    /// # Errors
    /// [`Error::Protocol`] when the answer is empty.
    pub async fn version(&self) -> Result<String> {
        let answer = self.send(Call::get("/system/version")).await?;
        answer.done()?;
        if answer.is_empty() {
            return Err(Error::Protocol("the version is empty".to_owned()));
        }
        Ok(answer.text())
    }

    /// Whether the server says that it works; `false` when it answers something else than 200.
    ///
    /// # Errors
    /// [`Error::Unreachable`] when it does not answer.
    pub async fn healthy(&self) -> Result<bool> {
        let answer = self.send(Call::new(Method::HEAD, "/.healthCheck")).await?;
        Ok(answer.status == StatusCode::OK)
    }

    /// What the buckets hold: of a group, of one of its users, or one bucket of that user.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such group, user or bucket; [`Error::Config`] for a bucket without a user.
    pub async fn bucket_usage(
        &self,
        group_id: &str,
        user_id: Option<&str>,
        bucket: Option<&str>,
    ) -> Result<Vec<UserBucketUsage>> {
        if group_id.is_empty() || (bucket.is_some() && user_id.is_none()) {
            return Err(Error::config("usage of a bucket needs its group and its user"));
        }
        let call = Call::get("/system/bucketusage")
            .query("groupId", group_id)
            .query_if("userId", user_id)
            .query_if("bucket", bucket);
        let answer = self.send(call).await?;
        match answer.status {
            StatusCode::OK => answer.list(),
            StatusCode::BAD_REQUEST => Err(Error::NotFound),
            _ => Err(answer.refused()),
        }
    }

    /// The names of the buckets of a group, or of one of its users.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such group or user.
    pub async fn bucket_list(&self, group_id: &str, user_id: Option<&str>) -> Result<Vec<UserBuckets>> {
        let call = Call::get("/system/bucketlist").query("groupId", group_id).query_if("userId", user_id);
        let answer = self.send(call).await?;
        match answer.status {
            StatusCode::OK | StatusCode::NO_CONTENT => answer.list(),
            StatusCode::BAD_REQUEST => Err(Error::NotFound),
            _ => Err(answer.refused()),
        }
    }
}
