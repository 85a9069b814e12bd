//! Calls on users.

use reqwest::StatusCode;
use secrecy::{ExposeSecret, SecretString};

use super::{
    AdminClient, Page, Paging, UserInfo, UserStatus, UserTypeFilter, UserUpdate,
    error::{Error, Result},
    paging::Collector,
    transport::Call,
};

fn id(user: &UserInfo) -> &str {
    &user.user_id
}

impl AdminClient {
    /// The user, or `None` when there is none of that id in the group.
    ///
    /// # Errors
    /// [`Error::Protocol`] when the answer is empty, else as every call.
    pub async fn get_user(&self, group_id: &str, user_id: &str) -> Result<Option<UserInfo>> {
        let call = Call::get("/user").query("userId", user_id).query("groupId", group_id);
        let answer = self.send(call).await?;
        match answer.status {
            StatusCode::OK => answer.json().map(Some),
            StatusCode::NO_CONTENT => Ok(None),
            _ => Err(answer.refused()),
        }
    }

    /// Makes the user and gives it as the server keeps it, with its canonical id.
    ///
    /// A server that answers without the user is asked for it; when it does not show it yet, the answer is `user`.
    ///
    /// # Errors
    /// [`Error::Exists`]; [`Error::Limit`]; [`Error::Refused`] with status 400 when there is no such group.
    pub async fn put_user(&self, user: &UserInfo) -> Result<UserInfo> {
        let answer = self.send(Call::put("/user").json(user)?).await?;
        match answer.status {
            StatusCode::OK if answer.is_empty() => {
                Ok(self.get_user(&user.group_id, &user.user_id).await?.unwrap_or_else(|| user.clone()))
            }
            StatusCode::OK => answer.json(),
            StatusCode::CONFLICT => Err(Error::Exists),
            StatusCode::FORBIDDEN => Err(Error::Limit),
            _ => Err(answer.refused()),
        }
    }

    /// Changes what is set in `update`.
    ///
    /// # Errors
    /// [`Error::Refused`] with status 400 when there is no such user.
    pub async fn post_user(&self, update: &UserUpdate) -> Result<()> {
        self.send(Call::post("/user").json(update)?).await?.done()
    }

    /// Deletes the user; its access ends at once.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none (a server says so with 400).
    pub async fn delete_user(&self, group_id: &str, user_id: &str) -> Result<()> {
        let call = Call::delete("/user").query("userId", user_id).query("groupId", group_id);
        let answer = self.send(call).await?;
        match answer.status {
            StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND => Err(Error::NotFound),
            _ => answer.done(),
        }
    }

    /// One page of a group's users, in order of their ids; an unknown group has none.
    ///
    /// # Errors
    /// As every call.
    pub async fn list_users(
        &self,
        group_id: &str,
        user_type: UserTypeFilter,
        status: UserStatus,
        paging: &Paging,
    ) -> Result<Page<UserInfo>> {
        let limit = paging.limit.to_string();
        let call = Call::get("/user/list")
            .query("groupId", group_id)
            .query("userType", user_type.as_str())
            .query("userStatus", status.as_str())
            .query_if("prefix", paging.prefix.as_deref())
            .query("limit", &limit)
            .query_if("offset", paging.offset.as_deref());
        let answer = self.send(call).await?;
        match answer.status {
            StatusCode::OK | StatusCode::NO_CONTENT => Ok(Page::from_rows(answer.list()?, paging.limit, id)),
            _ => Err(answer.refused()),
        }
    }

    /// All users of a group, active or not, page after page.
    ///
    /// # Errors
    /// As every call.
    pub async fn list_all_users(&self, group_id: &str) -> Result<Vec<UserInfo>> {
        let mut collector = Collector::new();
        loop {
            let page = self.list_users(group_id, UserTypeFilter::All, UserStatus::All, collector.paging()).await?;
            if let Some(all) = collector.add(page, id)? {
                return Ok(all);
            }
        }
    }

    /// Sets the password with which the user enters the console.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such user; [`Error::Refused`] with status 400 when it is too weak.
    pub async fn set_password(&self, group_id: &str, user_id: &str, password: &SecretString) -> Result<()> {
        let call = Call::post("/user/password")
            .query("userId", user_id)
            .query("groupId", group_id)
            .query("password", password.expose_secret());
        let answer = self.send(call).await?;
        match answer.status {
            StatusCode::NO_CONTENT => Err(Error::NotFound),
            _ => answer.done(),
        }
    }
}
