//! Calls on groups.

use reqwest::StatusCode;

use super::{
    AdminClient, GroupInfo, GroupUpdate, Page, Paging,
    error::{Error, Result},
    paging::Collector,
    transport::Call,
};

fn id(group: &GroupInfo) -> &str {
    &group.group_id
}

impl AdminClient {
    /// The group, or `None` when there is none of that id.
    ///
    /// # Errors
    /// [`Error::Protocol`] when the answer is empty, else as every call.
    pub async fn get_group(&self, group_id: &str) -> Result<Option<GroupInfo>> {
        let answer = self.send(Call::get("/group").query("groupId", group_id)).await?;
        match answer.status {
            StatusCode::OK => answer.json().map(Some),
            StatusCode::NO_CONTENT => Ok(None),
            _ => Err(answer.refused()),
        }
    }

    /// Makes the group.
    ///
    /// # Errors
    /// [`Error::Exists`] when there is one of that id.
    pub async fn put_group(&self, group: &GroupInfo) -> Result<()> {
        let answer = self.send(Call::put("/group").json(group)?).await?;
        match answer.status {
            StatusCode::CONFLICT => Err(Error::Exists),
            _ => answer.done(),
        }
    }

    /// Changes what is set in `update`.
    ///
    /// # Errors
    /// [`Error::Refused`] with status 400 when there is no such group.
    pub async fn post_group(&self, update: &GroupUpdate) -> Result<()> {
        self.send(Call::post("/group").json(update)?).await?.done()
    }

    /// Deletes the group, which must have no users.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none; [`Error::Refused`] with status 409 while it has users.
    pub async fn delete_group(&self, group_id: &str) -> Result<()> {
        let answer = self.send(Call::delete("/group").query("groupId", group_id)).await?;
        match answer.status {
            StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND => Err(Error::NotFound),
            _ => answer.done(),
        }
    }

    /// One page of the groups, in order of their ids.
    ///
    /// # Errors
    /// As every call.
    pub async fn list_groups(&self, paging: &Paging) -> Result<Page<GroupInfo>> {
        let limit = paging.limit.to_string();
        let call = Call::get("/group/list")
            .query_if("prefix", paging.prefix.as_deref())
            .query("limit", &limit)
            .query_if("offset", paging.offset.as_deref());
        let answer = self.send(call).await?;
        match answer.status {
            StatusCode::OK | StatusCode::NO_CONTENT => Ok(Page::from_rows(answer.list()?, paging.limit, id)),
            _ => Err(answer.refused()),
        }
    }

    /// All groups, page after page.
    ///
    /// # Errors
    /// As every call.
    pub async fn list_all_groups(&self) -> Result<Vec<GroupInfo>> {
        let mut collector = Collector::new();
        loop {
            let page = self.list_groups(collector.paging()).await?;
            if let Some(all) = collector.add(page, id)? {
                return Ok(all);
            }
        }
    }
}
