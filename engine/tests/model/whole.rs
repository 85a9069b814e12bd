//! Looks at the whole of both: usage, blobs, the check, and every version once more.

use engine::{ListRequest, ReadObject, Result, Usage};
use futures::TryStreamExt;

use crate::drive::{Drive, Outcome};
use crate::resolve;

impl Drive {
    pub(crate) async fn buckets(&mut self) -> Outcome {
        let buckets = self.world.engine.list_buckets(&self.world.tenant).await;
        let shown = buckets.map(|buckets| {
            buckets.into_iter().map(|b| (b.name.to_string(), b.versioning, b.usage)).collect::<Vec<_>>()
        });
        let usage = |name: &String| self.model.usage(&engine::BucketName::new(name).unwrap()).unwrap();
        let of_model =
            |(name, bucket): (&String, &crate::model::Bucket)| (name.clone(), bucket.versioning, usage(name));
        self.same(&shown, &Ok(self.model.buckets.iter().map(of_model).collect()))?;
        for pick in 0..3 {
            let name = resolve::bucket(pick);
            let usage: Result<Usage> =
                self.world.engine.bucket(&self.world.tenant, &name).await.map(|bucket| bucket.usage);
            self.same(&usage, &self.model.usage(&name))?;
        }
        Ok(())
    }

    /// After all background work, exactly the blobs are there that something refers to, and none was taken for an orphan.
    pub(crate) async fn work(&mut self) -> Outcome {
        self.world.work().await;
        let expected = self.model.blob_count();
        // A blob whose write was refused is removed beside; nothing refers to it meanwhile.
        for _ in 0..200 {
            if self.world.blob_count() <= expected {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        let (found, quarantined) = (self.world.blob_count(), self.world.quarantine_count());
        if (found, quarantined) != (expected, 0) {
            return Err(format!("{found} blobs instead of {expected}, {quarantined} in quarantine"));
        }
        let findings = self.world.findings().await;
        if findings.is_empty() { Ok(()) } else { Err(findings) }
    }

    /// At the end, every version of everything is read once more.
    pub(crate) async fn look_at_everything(&mut self) -> Outcome {
        self.buckets().await?;
        self.work().await?;
        for (name, bucket) in &self.model.buckets {
            let name = engine::BucketName::new(name).unwrap();
            self.follow(&name, ListRequest { entries_max: 1000, ..ListRequest::default() }).await?;
            for (key, version) in bucket.keys.iter().flat_map(|(key, history)| history.iter().map(move |v| (key, v))) {
                let read = ReadObject { version_id: Some(version.id.clone()), ..ReadObject::default() };
                let key = resolve::key(key);
                let expected = self.model.read(&name, &key, &read);
                let found = match self.world.engine.get_object(&self.world.tenant, &name, &key, &read).await {
                    Ok(found) => {
                        let bytes = found.body.try_collect::<Vec<_>>().await.map_err(|e| e.to_string())?;
                        Ok((found.view, bytes.concat()))
                    }
                    Err(error) => Err(error),
                };
                self.same(&found, &expected)?;
            }
        }
        Ok(())
    }
}
