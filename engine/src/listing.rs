//! Listing a bucket: prefix, delimiter, paging.

use futures::FutureExt;

use crate::access::Wanted;
use crate::access::action::Action;
use crate::meta::Meta;
use crate::objects::{ObjectHeaders, StorageClass};
use crate::rules::KnownBucket;
use crate::tags::Tags;
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
    /// Whether objects are described, too.
    pub described: bool,
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
    /// Its version; `None` in a listing of current objects, which names none.
    pub version_id: Option<VersionId>,
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
    /// What is kept with it, where that was asked for and the caller may read it.
    pub description: Option<Box<Description>>,
}

/// What is kept with an object beside its bytes, as a listing tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Headers kept with it.
    pub headers: ObjectHeaders,
    /// User metadata, names in lower case without `x-amz-meta-`.
    pub user_metadata: Vec<(String, String)>,
    /// Its tags; `None` where the caller may not read them.
    pub tags: Option<Tags>,
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
    /// Lists current objects. They are described only as far as the caller may read each.
    pub async fn list_objects(&self, caller: &Caller, bucket: &BucketName, request: &ListRequest) -> Result<ListPage> {
        let wanted = Wanted::on_bucket(Action::ListBucket);
        let known = self.allowed_bucket(caller, bucket, &wanted).await?;
        let (bucket_id, request) = (known.bucket.id, request.clone());
        let (mut page, metas) = self
            .inner
            .db
            .read_for(caller.share(), "list_objects", |tx| {
                async move {
                    let page = metadata::listing::objects(tx, bucket_id, &request).await?;
                    let metas = match request.described {
                        true => metadata::listing::metas(tx, bucket_id, &page).await?,
                        false => Vec::new(),
                    };
                    Ok((page, metas))
                }
                .boxed()
            })
            .await?;
        let objects = page.entries.iter_mut().filter_map(|entry| match entry {
            ListEntry::Object(object) => Some(object),
            ListEntry::CommonPrefix(_) => None,
        });
        for (object, meta) in objects.zip(metas) {
            object.description = description(&known, caller, &object.key, &meta).map(Box::new);
        }
        Ok(page)
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
            .read_for(caller.share(), "list_versions", |tx| {
                async move { metadata::listing::versions(tx, &ids, bucket_id, &request).await }.boxed()
            })
            .await
    }
}

/// What a caller may know of an object in a listing.
fn description(known: &KnownBucket, caller: &Caller, key: &ObjectKey, meta: &Meta) -> Option<Description> {
    let may = |action| known.allows(caller, &Wanted::on_object(action, key, known.side_of(meta)));
    may(Action::GetObject).then(|| Description {
        headers: meta.headers(),
        user_metadata: meta.user().to_vec(),
        tags: may(Action::GetObjectTagging).then(|| meta.tags().clone()),
    })
}
