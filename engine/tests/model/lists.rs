//! Listings of both, compared page by page.

use engine::{BucketName, ListEntry, ListPage, ListRequest, Result, UploadListRequest, VersionListRequest};

use crate::drive::{Drive, Outcome};
use crate::operation::Operation;
use crate::resolve;

/// A page without the times of markers.
fn without_marker_times(page: Result<ListPage>) -> Result<ListPage> {
    page.map(|mut page| {
        for entry in &mut page.entries {
            if let ListEntry::Object(object) = entry
                && object.delete_marker
            {
                object.modified_us = 0;
            }
        }
        page
    })
}

impl Drive {
    pub(crate) async fn list(&mut self, operation: &Operation) -> Outcome {
        let (engine, tenant) = (&self.world.engine, &self.world.tenant);
        match operation {
            Operation::List { bucket, list } => {
                let (name, request) = (resolve::bucket(*bucket), resolve::list(list));
                let page = engine.list_objects(tenant, &name, &request).await;
                self.same(&page, &self.model.list(&name, &request))
            }
            Operation::ListVersions { bucket, list, after_version } => {
                let (name, list) = (resolve::bucket(*bucket), resolve::list(list));
                let key = list.after.as_deref().map(resolve::key);
                // Where a version that was never made would stand, nobody can say.
                let picked = key.as_ref().and_then(|key| self.model.version(&name, key, after_version));
                let after_version = picked.filter(|id| id.is_null() || self.model.made.contains(id));
                self.list_versions(&name, &VersionListRequest { list, after_version }).await.map(|_| ())
            }
            Operation::ListUploads { bucket, list, after_upload } => {
                let name = resolve::bucket(*bucket);
                let ListRequest { prefix, delimiter, after, entries_max, described: _ } = resolve::list(list);
                let uploads = &self.model.uploads;
                let picked = after_upload.filter(|_| !uploads.is_empty()).map(|at| &uploads[at % uploads.len()]);
                let after_key = picked.map(|upload| upload.key.to_string()).or(after);
                let after_upload = picked.map(|upload| upload.id.clone());
                let request = UploadListRequest { prefix, delimiter, after_key, after_upload, entries_max };
                let page = engine.list_uploads(tenant, &name, &request).await;
                self.same(&page, &self.model.list_uploads(&name, &request))
            }
            Operation::ListAll { bucket, list } => {
                let request = ListRequest { entries_max: list.entries_max.max(1), ..resolve::list(list) };
                self.follow(&resolve::bucket(*bucket), request).await
            }
            other => panic!("{other:?} is not about a listing"),
        }
    }

    async fn list_versions(
        &self,
        name: &BucketName,
        request: &VersionListRequest,
    ) -> std::result::Result<Result<ListPage>, String> {
        let page = self.world.engine.list_versions(&self.world.tenant, name, request).await;
        let expected = without_marker_times(self.model.list_versions(name, request));
        let page = without_marker_times(page);
        self.same(&page, &expected)?;
        Ok(page)
    }

    /// Follows both listings page by page as a client does.
    pub(crate) async fn follow(&self, name: &BucketName, first: ListRequest) -> Outcome {
        let mut request = first.clone();
        loop {
            let page = self.world.engine.list_objects(&self.world.tenant, name, &request).await;
            self.same(&page, &self.model.list(name, &request))?;
            let Ok(ListPage { entries, truncated: true }) = page else { break };
            request.after = entries.last().map(|entry| match entry {
                ListEntry::Object(object) => object.key.to_string(),
                ListEntry::CommonPrefix(prefix) => prefix.clone(),
            });
        }
        let mut request = VersionListRequest { list: first, after_version: None };
        loop {
            let page = self.list_versions(name, &request).await?;
            let Ok(ListPage { entries, truncated: true }) = page else { return Ok(()) };
            (request.list.after, request.after_version) = match entries.last() {
                Some(ListEntry::Object(object)) => (Some(object.key.to_string()), object.version_id.clone()),
                Some(ListEntry::CommonPrefix(prefix)) => (Some(prefix.clone()), None),
                None => return Err("a page that is cut has no entry".to_owned()),
            };
        }
    }
}
