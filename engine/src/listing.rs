//! Listing a bucket: prefix, delimiter, paging.

use futures::FutureExt;

use crate::access::Wanted;
use crate::access::action::Action;
use crate::objects::StorageClass;
use crate::{BucketName, Caller, Engine, ObjectKey, Result, VersionId, metadata};

/// A page of a listing that is asked for.
#[derive(Clone, Debug, Default)]
pub struct ListRequest {
    /// Only keys that begin with this.
    pub prefix: String,
    /// Keys that share what is between the prefix and the first delimiter are folded into one common prefix.
    pub delimiter: Option<String>,
    /// Begin after this key or common prefix (exclusive).
    pub after: Option<String>,
    /// The most objects and common prefixes together.
    pub entries_max: usize,
}

/// One line of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListEntry {
    /// An object.
    Object(ListedObject),
    /// A common prefix, ending in the delimiter.
    CommonPrefix(String),
}

/// An object in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedObject {
    /// Its key.
    pub key: ObjectKey,
    /// Its version.
    pub version_id: VersionId,
    /// Its size.
    pub size_bytes: u64,
    /// Its entity tag without quotes.
    pub etag: String,
    /// When it was made, in microseconds of the Unix epoch.
    pub modified_us: i64,
    /// The storage class named.
    pub storage_class: StorageClass,
    /// Whether it is the current version.
    pub latest: bool,
    /// Whether it is a delete marker.
    pub delete_marker: bool,
}

/// A page of a listing, in the order of bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListPage {
    /// Objects and common prefixes, merged.
    pub entries: Vec<ListEntry>,
    /// Whether more follows; then the last entry is where the next page begins after.
    pub truncated: bool,
}

/// A page of a listing of versions that is asked for.
#[derive(Clone, Debug, Default)]
pub struct VersionListRequest {
    /// As in [`ListRequest`]; `after` is the key marker.
    pub list: ListRequest,
    /// Begin after this version of the key `after`. It may be gone meanwhile; only when the version `null` is, the key begins again.
    pub after_version: Option<VersionId>,
}

impl Engine {
    /// Lists current objects.
    pub async fn list_objects(&self, caller: &Caller, bucket: &BucketName, request: &ListRequest) -> Result<ListPage> {
        let wanted = Wanted::on_bucket(Action::ListBucket);
        let bucket_id = self.allowed_bucket(caller, bucket, &wanted).await?.bucket.id;
        let request = request.clone();
        self.inner
            .db
            .read("list_objects", |tx| async move { metadata::listing::objects(tx, bucket_id, &request).await }.boxed())
            .await
    }

    /// Lists versions and delete markers, newest first within a key (the order of commits, not of clocks); a bucket without versions
    /// shows each object as version `null`.
    pub async fn list_versions(
        &self,
        caller: &Caller,
        bucket: &BucketName,
        request: &VersionListRequest,
    ) -> Result<ListPage> {
        let wanted = Wanted::on_bucket(Action::ListBucketVersions);
        let bucket_id = self.allowed_bucket(caller, bucket, &wanted).await?.bucket.id;
        let (request, ids) = (request.clone(), self.inner.version_ids.clone());
        self.inner
            .db
            .read("list_versions", |tx| {
                async move { metadata::listing::versions(tx, &ids, bucket_id, &request).await }.boxed()
            })
            .await
    }
}
