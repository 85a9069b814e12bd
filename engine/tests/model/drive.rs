//! Runs a sequence on the store and on the model, and compares.

use std::fmt::Debug;

use engine::{
    Body, CopyObject, DeleteTarget, Error, NewObject, ObjectInfo, ObjectView, PartSource, ReadObject, Result,
    WriteConditions,
};
use futures::TryStreamExt;

use crate::content::{Content, bytes_of, crc64};
use crate::model::{Facts, Model, Object};
use crate::multipart::{PartFacts, Upload};
use crate::operation::Operation;
use crate::world::World;
use crate::{resolve, seen};

/// The store, the model, and what differs.
pub(crate) struct Drive {
    pub(crate) world: World,
    pub(crate) model: Model,
    /// The name of the running operation.
    operation: String,
}

/// Why a sequence fails.
pub(crate) type Outcome = std::result::Result<(), String>;

pub(crate) async fn run(operations: &[Operation]) -> Outcome {
    let world = World::new().await;
    let model = Model::new(world.tenant.account().unwrap().canonical_id.clone());
    let mut drive = Drive { world, model, operation: "Start".to_owned() };
    // Two buckets are there from the beginning, one with versions; the third comes and goes.
    for start in [
        Operation::CreateBucket(0),
        Operation::CreateBucket(1),
        Operation::SetVersioning(1, engine::Versioning::Enabled),
    ] {
        drive.step(&start).await?;
    }
    for (at, operation) in operations.iter().enumerate() {
        let text = format!("{operation:?}");
        drive.operation = text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned();
        let outcome = drive.step(operation).await.and_then(|()| drive.complaints());
        outcome.map_err(|why| format!("operation {at}, {operation:?}:\n{why}"))?;
    }
    drive.operation = "End".to_owned();
    let outcome = drive.look_at_everything().await;
    drive.world.engine.close().await;
    outcome
}

/// An answer as text. The end of the sentence of a refusal is not compared, nor when a marker was made, which no answer tells beforehand.
fn told<T: Debug>(result: &Result<T>) -> String {
    match result {
        Ok(answer) => format!("{answer:?}"),
        Err(Error::Invalid { what, .. }) => format!("refused: {what}"),
        Err(Error::IsDeleteMarker { version_id, .. }) => format!("refused: {version_id} is a delete marker"),
        Err(error) => format!("refused: {error:?}"),
    }
}

/// The word for an outcome.
fn word<T>(result: &Result<T>) -> String {
    match result {
        Ok(_) => "ok".to_owned(),
        Err(Error::Invalid { what, .. }) => (*what).to_owned(),
        Err(Error::IsDeleteMarker { .. }) => "delete marker".to_owned(),
        Err(error) => format!("{error:?}").split(' ').next().unwrap_or_default().to_owned(),
    }
}

/// What only the store knows of an object; anything when it refused to make it.
fn facts_of(made: &Result<ObjectInfo>) -> Facts {
    match made {
        Ok(info) => Facts { version_id: info.version_id.clone(), modified_us: info.modified_us },
        Err(_) => Facts { version_id: engine::VersionId::null(), modified_us: 0 },
    }
}

fn facts_of_part(part: engine::Part) -> PartFacts {
    (part.number, part.size_bytes, part.etag, part.modified_us, part.checksums)
}

impl Drive {
    /// Notes the outcome and compares it.
    pub(crate) fn same<T: Debug>(&self, store: &Result<T>, model: &Result<T>) -> Outcome {
        seen::note(&self.operation, &word(store));
        let (store, model) = (told(store), told(model));
        if store == model { Ok(()) } else { Err(format!("the store: {store}\nthe model: {model}")) }
    }

    fn complaints(&mut self) -> Outcome {
        self.model.complaints.pop().map_or(Ok(()), Err)
    }

    async fn step(&mut self, operation: &Operation) -> Outcome {
        match operation {
            Operation::CreateBucket(_) | Operation::DeleteBucket(_) | Operation::SetVersioning(..) => {
                self.bucket(operation).await
            }
            Operation::Put { .. } => self.put(operation).await,
            Operation::Copy { .. } => self.copy(operation).await,
            Operation::Delete { .. } => self.delete(operation).await,
            Operation::Read { .. } => self.read(operation).await,
            Operation::CreateUpload { .. } => self.create_upload(operation).await,
            Operation::PutPart { upload, .. }
            | Operation::CopyPart { upload, .. }
            | Operation::Complete { upload, .. }
            | Operation::Abort { upload }
            | Operation::ListParts { upload, .. } => match self.model.uploads.len() {
                0 => Ok(()),
                count => self.upload(operation, upload % count).await,
            },
            Operation::List { .. }
            | Operation::ListVersions { .. }
            | Operation::ListUploads { .. }
            | Operation::ListAll { .. } => self.list(operation).await,
            Operation::Buckets => self.buckets().await,
            Operation::Restart => {
                self.world.restart().await;
                Ok(())
            }
            Operation::Work => self.work().await,
        }
    }

    async fn bucket(&mut self, operation: &Operation) -> Outcome {
        let (engine, tenant) = (&self.world.engine, &self.world.tenant);
        match operation {
            Operation::CreateBucket(bucket) => {
                let name = resolve::bucket(*bucket);
                let made = engine.create_bucket(tenant, &name).await;
                let expected = Ok(self.model.create_bucket(&name));
                self.same(&made, &expected)
            }
            Operation::DeleteBucket(bucket) => {
                let name = resolve::bucket(*bucket);
                let gone = engine.delete_bucket(tenant, &name).await;
                let expected = self.model.delete_bucket(&name);
                self.same(&gone, &expected)
            }
            Operation::SetVersioning(bucket, versioning) => {
                let name = resolve::bucket(*bucket);
                let set = engine.set_versioning(tenant, &name, *versioning).await;
                let expected = self.model.set_versioning(&name, *versioning);
                self.same(&set, &expected)
            }
            other => panic!("{other:?} is not about buckets"),
        }
    }

    async fn put(&mut self, operation: &Operation) -> Outcome {
        let Operation::Put { bucket, key, size, seed, conditions, broken } = operation else { unreachable!() };
        let (name, key) = (resolve::bucket(*bucket), resolve::key(key));
        let conditions = self.model.write_conditions(&name, &key, conditions);
        let bytes = bytes_of(*size, *seed);
        let (headers, user_metadata) = resolve::metadata(*seed);
        let new = NewObject {
            headers: headers.clone(),
            user_metadata: user_metadata.clone(),
            conditions: conditions.clone(),
            ..NewObject::default()
        };
        let mut body = Body::from_bytes(bytes.clone());
        body.expected.md5 = broken.then_some([7; 16]);
        let made = self.world.engine.put_object(&self.world.tenant, &name, &key, new, body).await;
        let expected = self.model.check_write(&name, &key, &conditions).and_then(|()| {
            if *broken {
                return Err(Error::BadDigest { algorithm: "MD5" });
            }
            let checksums = crc64(&bytes);
            let object = Object { content: Content::whole(bytes), headers, user_metadata, checksums };
            Ok(self.model.add(&name, &key, &object, &facts_of(&made)))
        });
        self.same(&made, &expected)
    }

    async fn copy(&mut self, operation: &Operation) -> Outcome {
        let Operation::Copy { source, bucket, key, replace, conditions } = operation else { unreachable!() };
        let (name, key) = (resolve::bucket(*bucket), resolve::key(key));
        let source = self.model.source_of(source);
        let conditions = self.model.write_conditions(&name, &key, conditions);
        let replace = replace.map(resolve::metadata);
        let copy = CopyObject { replace: replace.clone(), conditions: conditions.clone(), ..CopyObject::default() };
        let made = self.world.engine.copy_object(&self.world.tenant, &source, &name, &key, copy).await;
        let onto_itself = source.bucket == name && source.key == key && source.version_id.is_none();
        let refused = onto_itself && replace.is_none();
        let expected = self.copy_in_model(&source, (&name, &key), &conditions, refused).map(|(id, mut object)| {
            if let Some((headers, user_metadata)) = replace {
                (object.headers, object.user_metadata) = (headers, user_metadata);
            }
            let info = made.as_ref().map(|copied| copied.info.clone()).map_err(|_| Error::NoSuchVersion);
            let kept = self.model.bucket(&source.bucket).is_ok_and(|b| b.versioning != engine::Versioning::Off);
            let info = self.model.add(&name, &key, &object, &facts_of(&info));
            engine::Copied { info, source_version_id: kept.then_some(id) }
        });
        self.same(&made, &expected)
    }

    /// What a copy takes, when it may be made.
    fn copy_in_model(
        &self,
        source: &engine::CopySource,
        (name, key): (&engine::BucketName, &engine::ObjectKey),
        conditions: &WriteConditions,
        refused: bool,
    ) -> Result<(engine::VersionId, Object)> {
        self.model.bucket(&source.bucket)?;
        self.model.check_write(name, key, conditions)?;
        if refused {
            return Err(Error::invalid("copy", ""));
        }
        let found = self.model.source(&source.bucket, &source.key, source.version_id.as_ref(), &source.conditions);
        found.map_err(|error| match error {
            Error::NotModified { .. } => Error::PreconditionFailed { condition: "x-amz-copy-source-if-none-match" },
            other => other,
        })
    }

    async fn delete(&mut self, operation: &Operation) -> Outcome {
        let Operation::Delete { bucket, targets } = operation else { unreachable!() };
        let name = resolve::bucket(*bucket);
        let target = |(key, version, if_match): &(String, _, Option<_>)| {
            let key = resolve::key(key);
            let version_id = self.model.version(&name, &key, version);
            DeleteTarget {
                if_match: self.model.if_match(&name, &key, *if_match),
                version_id,
                ..DeleteTarget::current(key)
            }
        };
        let targets: Vec<DeleteTarget> = targets.iter().map(target).collect();
        let deleted = self.world.engine.delete_objects(&self.world.tenant, &name, targets.clone()).await;
        if let Err(error) = self.model.bucket(&name) {
            return self.same(&deleted.map(|_| ()), &Err(error));
        }
        let deleted = deleted.map_err(|error| format!("the store: {error:?}"))?;
        for (target, store) in targets.iter().zip(&deleted) {
            let marker = store.as_ref().ok().and_then(|done| done.marker.clone());
            let facts = Facts { version_id: marker.unwrap_or(engine::VersionId::null()), modified_us: 0 };
            let (id, if_match) = (target.version_id.as_ref(), target.if_match.as_deref());
            let expected = self.model.delete(&name, &target.key, id, if_match, &facts);
            self.same(store, &expected)?;
        }
        Ok(())
    }

    async fn read(&mut self, operation: &Operation) -> Outcome {
        let Operation::Read { source, selection } = operation else { unreachable!() };
        let source = self.model.source_of(source);
        let (version_id, conditions) = (source.version_id, source.conditions);
        let read = ReadObject { version_id, selection: *selection, conditions, customer_key: None };
        let (engine, tenant) = (&self.world.engine, &self.world.tenant);
        // The model does not keep the checksums of parts; the tests of uploads look at them.
        let without_parts = |view: ObjectView| ObjectView { part_checksums: None, ..view };
        let head = engine.head_object(tenant, &source.bucket, &source.key, &read).await.map(without_parts);
        let expected = self.model.read(&source.bucket, &source.key, &read);
        let (view, bytes) = match expected {
            Ok((view, bytes)) => (Ok(view), bytes),
            Err(error) => (Err(error), Vec::new()),
        };
        self.same(&head, &view)?;
        let (got, body) = match engine.get_object(tenant, &source.bucket, &source.key, &read).await {
            Ok(found) => (
                Ok(without_parts(found.view)),
                found.body.try_collect::<Vec<_>>().await.map_err(|e| e.to_string())?.concat(),
            ),
            Err(error) => (Err(error), Vec::new()),
        };
        self.same(&got, &view)?;
        if body == bytes { Ok(()) } else { Err(format!("{} bytes are not the {} expected", body.len(), bytes.len())) }
    }

    async fn create_upload(&mut self, operation: &Operation) -> Outcome {
        let Operation::CreateUpload { bucket, key, seed, crc32 } = operation else { unreachable!() };
        let (name, key) = (resolve::bucket(*bucket), resolve::key(key));
        let (headers, user_metadata) = resolve::metadata(*seed);
        let mut upload = Upload {
            id: engine::UploadId::new(&"0".repeat(32)).unwrap(),
            bucket: name.clone(),
            key: key.clone(),
            begun_by: self.world.tenant.account().map(|account| account.canonical_id.clone()),
            created_us: 0,
            headers: headers.clone(),
            user_metadata: user_metadata.clone(),
            crc32: *crc32,
            parts: Default::default(),
            open: true,
        };
        let new = NewObject { headers, user_metadata, ..NewObject::default() };
        let (engine, tenant) = (&self.world.engine, &self.world.tenant);
        let begun = engine.create_upload(tenant, &name, &key, new, upload.checksum()).await;
        if let Err(error) = self.model.bucket(&name) {
            return self.same(&begun, &Err(error));
        }
        upload.id = begun.map_err(|error| format!("the store: {error:?}"))?.upload_id;
        let page = engine.list_parts(tenant, &name, &key, &upload.id, 0, 1).await;
        upload.created_us = page.map_err(|error| format!("the store: {error:?}"))?.upload.created_us;
        self.model.uploads.push(upload);
        Ok(())
    }

    async fn upload(&mut self, operation: &Operation, at: usize) -> Outcome {
        let Upload { id, bucket, key, .. } = self.model.uploads[at].clone();
        let (engine, tenant) = (&self.world.engine, &self.world.tenant);
        match operation {
            Operation::PutPart { number, size, seed, .. } => {
                let bytes = bytes_of(*size, *seed);
                let body = Body::from_bytes(bytes.clone());
                let put = engine.put_part(tenant, &bucket, &key, &id, *number, body).await.map(facts_of_part);
                let modified_us = put.as_ref().map_or(0, |part| part.3);
                let expected = self.model.put_part(at, *number, bytes, modified_us);
                self.same(&put, &expected)
            }
            Operation::CopyPart { source, range, number, .. } => {
                let object = self.model.source_of(source);
                let range = range.map(|(start, length)| start..start + length);
                let part = PartSource { object: object.clone(), range: range.clone(), upload_key: None };
                let put = engine.copy_part(tenant, &part, &bucket, &key, &id, *number).await;
                let put = put.map(|(part, _)| facts_of_part(part));
                let modified_us = put.as_ref().map_or(0, |part| part.3);
                let bytes = self.part_in_model(&object, range);
                let expected = bytes.and_then(|bytes| self.model.put_part(at, *number, bytes, modified_us));
                self.same(&put, &expected)
            }
            Operation::Complete { parts, conditions, .. } => {
                let complete = self.model.complete_of(at, *parts, conditions);
                let done = engine.complete_upload(tenant, &bucket, &key, &id, complete.clone()).await;
                let expected = self.model.complete(at, &complete, &facts_of(&done));
                self.same(&done, &expected)
            }
            Operation::Abort { .. } => {
                let aborted = engine.abort_upload(tenant, &bucket, &key, &id).await;
                let expected = self.model.open_upload(at).map(Upload::close);
                self.same(&aborted, &expected)
            }
            Operation::ListParts { after, parts_max, .. } => {
                let page = engine.list_parts(tenant, &bucket, &key, &id, *after, *parts_max).await;
                let shown = page.map(|page| {
                    let parts = page.parts.into_iter().map(facts_of_part).collect::<Vec<_>>();
                    (page.upload, parts, page.truncated)
                });
                let expected = self.model.open_upload(at).map(|upload| {
                    let numbers: Vec<u32> = upload.parts.range(after + 1..).map(|(number, _)| *number).collect();
                    let parts: Vec<_> = numbers.iter().take(*parts_max).map(|number| upload.part(*number)).collect();
                    (upload.shown(), parts, numbers.len() > *parts_max)
                });
                self.same(&shown, &expected)
            }
            other => panic!("{other:?} is not about an upload"),
        }
    }

    fn part_in_model(&self, source: &engine::CopySource, range: Option<std::ops::Range<u64>>) -> Result<Vec<u8>> {
        if range.as_ref().is_some_and(std::ops::Range::is_empty) {
            return Err(Error::invalid("range", ""));
        }
        let selection = range.as_ref().map(|range| engine::Selection::Between(range.start, range.end - 1));
        let read = ReadObject {
            version_id: source.version_id.clone(),
            selection,
            conditions: source.conditions.clone(),
            customer_key: None,
        };
        let (view, bytes) = self.model.read(&source.bucket, &source.key, &read)?;
        let size_bytes = view.info.size_bytes;
        if range.is_some_and(|range| range.end > size_bytes) {
            return Err(Error::InvalidRange { size_bytes });
        }
        Ok(bytes)
    }
}
