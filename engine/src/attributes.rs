//! What is known of an object and of the parts it was uploaded in.

use std::ops::Range;

use futures::FutureExt;

use crate::access::Wanted;
use crate::access::action::Action;
use crate::acls::either;
use crate::body::Digests;
use crate::encryption::CustomerKey;
use crate::metadata::contents;
use crate::objects::info;
use crate::{Caller, Engine, ObjectInfo, ObjectName, Result};

/// A part that an object was uploaded in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectPart {
    /// Its number.
    pub number: u32,
    /// Which bytes of the object it is.
    pub range: Range<u64>,
    /// Checksums kept with it.
    pub checksums: Digests,
}

/// An object with some of its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectAttributes {
    /// The object.
    pub info: ObjectInfo,
    /// Parts by number; none of an object that was stored at once.
    pub parts: Vec<ObjectPart>,
    /// Whether more parts follow.
    pub truncated: bool,
}

impl Engine {
    /// What is known of an object, with its parts after a number.
    pub async fn object_attributes(
        &self,
        caller: &Caller,
        object: &ObjectName,
        customer_key: Option<&CustomerKey>,
        after: u32,
        parts_max: usize,
    ) -> Result<ObjectAttributes> {
        let action = either(object, Action::GetObjectAttributes, Action::GetObjectVersionAttributes);
        let (known, version) = self.find_version(caller, object, action).await?;
        let reading = either(object, Action::GetObject, Action::GetObjectVersion);
        known.must_allow(caller, &Wanted::on_object(reading, &object.key, known.side_of(&version.meta)))?;
        self.data_key(&version.meta, customer_key)?;
        let content_id = version.content_id;
        let mut parts = self
            .inner
            .db
            .read_statement_for(caller.share(), "object_parts", |tx| {
                async move { contents::parts_of(tx, content_id, after, parts_max.saturating_add(1)).await }.boxed()
            })
            .await?;
        let truncated = parts.len() > parts_max;
        parts.truncate(parts_max);
        let info = info(object.key.clone(), version, &known, known.bucket.versioning)?;
        Ok(ObjectAttributes { info, parts, truncated })
    }
}
