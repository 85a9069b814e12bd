//! A store of its own for each test: a real engine in a temporary directory, with a bucket, and staging beside it.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use engine::{
    Body, BucketName, Caller, CompleteUpload, CompletedPart, DeleteTarget, Digests, Engine, GroupId, NewGroup,
    NewObject, NewUser, ObjectInfo, ObjectKey, ReadObject, Role, UserId,
};
use futures::TryStreamExt;
use nfs_staging::{
    EvictScope, Evicted, HookSettings, Progress, PullRequest, Pulled, PushRequest, Pushed, Result, Settings, Silent,
    Stage, StagedFile, Staging, Step,
};

/// The bucket of every test.
pub(crate) const BUCKET: &str = "secondary";
/// A volume's key; its path in staging is the same.
pub(crate) const VOLUME: &str = "volumes/2/14/disk 1.qcow2?x=y&z=%20+ü";
/// A template's key.
pub(crate) const TEMPLATE: &str = "template/tmpl/1/200/200-1-uniq/root disk.qcow2";
/// Where it is staged.
pub(crate) const TEMPLATE_PATH: &str = "template/tmpl/1/200/root disk.qcow2";
pub(crate) const MIB: usize = 1 << 20;

pub(crate) struct World {
    pub(crate) temp: tempfile::TempDir,
    pub(crate) engine: Engine,
    pub(crate) staging: Staging,
}

pub(crate) fn operator() -> Caller {
    Caller::LocalOperator
}

pub(crate) fn silent() -> Arc<dyn Progress> {
    Arc::new(Silent)
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with_hooks(|_| HookSettings::default()).await
    }

    /// A store whose hooks are made in the temporary directory.
    pub(crate) async fn with_hooks(hooks: impl FnOnce(&Path) -> HookSettings) -> Self {
        let temp = tempfile::tempdir().unwrap();
        let engine = Engine::open(engine::Settings::new(temp.path().join("data"))).await.unwrap();
        make_bucket(&engine).await;
        let settings =
            Settings { dir: Some(temp.path().join("export")), hooks: hooks(temp.path()), ..Settings::default() };
        let staging = Staging::open(engine.clone(), settings).await.unwrap();
        Self { temp, engine, staging }
    }

    /// Opens staging anew, as a restart does.
    pub(crate) async fn reopen(&mut self) {
        let settings = Settings { dir: Some(self.temp.path().join("export")), ..Settings::default() };
        self.staging = Staging::open(self.engine.clone(), settings).await.unwrap();
    }

    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.staging.dir().join(path)
    }

    pub(crate) fn read(&self, path: &str) -> Vec<u8> {
        std::fs::read(self.at(path)).unwrap()
    }

    /// Puts a file into the export, as a client of it does.
    pub(crate) fn write(&self, path: &str, content: &[u8]) {
        std::fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        std::fs::write(self.at(path), content).unwrap();
    }

    pub(crate) fn records(&self) -> usize {
        std::fs::read_dir(self.temp.path().join("data/staging-state")).unwrap().count()
    }

    /// Names of our own that lie in the directory of a path.
    pub(crate) fn leftovers(&self, path: &str) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.at(path).parent().unwrap()) else { return Vec::new() };
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with(".cloudhold-")).collect()
    }

    pub(crate) async fn put(&self, key: &str, content: &[u8]) -> ObjectInfo {
        let (bucket, key) = (bucket(), ObjectKey::new(key).unwrap());
        self.engine
            .put_object(&operator(), &bucket, &key, NewObject::default(), Body::from_bytes(content.to_vec()))
            .await
            .unwrap()
    }

    /// Uploads in parts of uneven sizes, as no rule of ours would cut it.
    pub(crate) async fn put_in_parts(&self, key: &str, content: &[u8]) -> ObjectInfo {
        let (caller, bucket, key) = (operator(), bucket(), ObjectKey::new(key).unwrap());
        let upload =
            self.engine.create_upload(&caller, &bucket, &key, NewObject::default(), None).await.unwrap().upload_id;
        let mut complete = CompleteUpload::default();
        let (mut rest, mut number) = (content, 0);
        while !rest.is_empty() {
            number += 1;
            let size = (5 * MIB + number as usize * 1000).min(rest.len());
            let body = Body::from_bytes(rest[..size].to_vec());
            let part = self.engine.put_part(&caller, &bucket, &key, &upload, number, body).await.unwrap();
            complete.parts.push(CompletedPart { number, etag: part.etag, checksums: Digests::default() });
            rest = &rest[size..];
        }
        self.engine.complete_upload(&caller, &bucket, &key, &upload, complete).await.unwrap()
    }

    pub(crate) async fn get(&self, key: &str) -> Vec<u8> {
        let key = ObjectKey::new(key).unwrap();
        let read = self.engine.get_object(&operator(), &bucket(), &key, &ReadObject::default()).await.unwrap();
        let pieces: Vec<bytes::Bytes> = read.body.try_collect().await.unwrap();
        pieces.concat()
    }

    pub(crate) async fn head(&self, key: &str) -> engine::Result<ObjectInfo> {
        let key = ObjectKey::new(key).unwrap();
        self.engine.head_object(&operator(), &bucket(), &key, &ReadObject::default()).await.map(|view| view.info)
    }

    pub(crate) async fn delete(&self, key: &str) {
        let target = DeleteTarget::current(ObjectKey::new(key).unwrap());
        for answer in self.engine.delete_objects(&operator(), &bucket(), vec![target]).await.unwrap() {
            answer.unwrap();
        }
    }

    pub(crate) async fn open_uploads(&self) -> usize {
        let request = engine::UploadListRequest { entries_max: 100, ..engine::UploadListRequest::default() };
        self.engine.list_uploads(&operator(), &bucket(), &request).await.unwrap().uploads.len()
    }

    pub(crate) async fn pull(&self, key: &str) -> Result<Pulled> {
        self.staging.pull(&operator(), &pull_request(key), &silent()).await
    }

    pub(crate) async fn push(&self, path: &str) -> Result<Pushed> {
        self.staging.push(&operator(), &push_request(path), &silent()).await
    }

    pub(crate) async fn evict(&self, path: &str) -> Result<Evicted> {
        let mut answers = self.staging.evict(&operator(), &EvictScope::Path(path.to_owned()), &silent()).await?;
        assert_eq!(answers.len(), 1);
        Ok(answers.remove(0))
    }

    pub(crate) async fn listed(&self, path: &str) -> Option<StagedFile> {
        self.staging.list().await.unwrap().into_iter().find(|file| file.path == path)
    }

    /// Pulls, and gives up when so many bytes are copied.
    pub(crate) async fn pull_until(&self, key: &str, copied_bytes: u64) {
        let (staging, request) = (self.staging.clone(), pull_request(key));
        give_up_at(copied_bytes, async move |progress| {
            let ended = staging.pull(&operator(), &request, &progress).await;
            panic!("nobody gave it up: {ended:?}");
        })
        .await;
    }

    /// Pushes, and gives up when so many bytes are copied.
    pub(crate) async fn push_until(&self, path: &str, copied_bytes: u64) {
        let (staging, request) = (self.staging.clone(), push_request(path));
        give_up_at(copied_bytes, async move |progress| {
            let ended = staging.push(&operator(), &request, &progress).await;
            panic!("nobody gave it up: {ended:?}");
        })
        .await;
    }
}

/// Runs an action and drops it when so many bytes are copied, as a client that goes away does; then waits until its threads
/// let the path go.
async fn give_up_at<F: Future<Output = ()> + Send + 'static>(
    copied_bytes: u64,
    action: impl FnOnce(Arc<dyn Progress>) -> F,
) {
    let notify = Arc::new(tokio::sync::Notify::new());
    let (reached, hit) = (notify.clone(), Arc::new(AtomicBool::new(false)));
    let seen = hit.clone();
    let held = Arc::new(());
    let witness = Arc::downgrade(&held);
    let progress: Arc<dyn Progress> = Arc::new(move |step: Step| {
        let _held = &held;
        if step.stage == Stage::Copying && step.done_bytes >= copied_bytes && !seen.swap(true, Ordering::SeqCst) {
            reached.notify_one();
            // The copying waits until it is given up, or it would be done first.
            std::thread::sleep(std::time::Duration::from_millis(300));
        }
    });
    let mut running = tokio::spawn(action(progress));
    tokio::select! {
        () = notify.notified() => (),
        ended = &mut running => panic!("the action ended before it could be given up: {ended:?}"),
    }
    running.abort();
    let _ = running.await;
    while witness.strong_count() > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert!(hit.load(Ordering::SeqCst));
}

pub(crate) fn bucket() -> BucketName {
    BucketName::new(BUCKET).unwrap()
}

pub(crate) fn pull_request(key: &str) -> PullRequest {
    PullRequest { bucket: BUCKET.to_owned(), key: key.to_owned(), overwrite: false }
}

pub(crate) fn push_request(path: &str) -> PushRequest {
    PushRequest { path: path.to_owned(), bucket: Some(BUCKET.to_owned()), key: None, overwrite: false }
}

/// Bytes that repeat nowhere, the same for the same seed.
pub(crate) fn noise(size_bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut bytes: Vec<u8> = (0..size_bytes.div_ceil(8)).flat_map(|_| next().to_le_bytes()).collect();
    bytes.truncate(size_bytes);
    bytes
}

/// A QCOW2 image by its header, else noise.
pub(crate) fn image(size_bytes: usize, seed: u64) -> Vec<u8> {
    let mut content = noise(size_bytes, seed);
    content[..4].copy_from_slice(b"QFI\xfb");
    content[24..32].copy_from_slice(&(20_u64 << 30).to_be_bytes());
    content
}

pub(crate) fn inode(path: &Path) -> u64 {
    std::fs::metadata(path).unwrap().ino()
}

async fn make_bucket(engine: &Engine) {
    let (group_id, user_id) = (GroupId::new("cloud").unwrap(), UserId::new("secondary").unwrap());
    let group = NewGroup {
        group_id: group_id.clone(),
        group_name: "/cloud/".to_owned(),
        active: true,
        profile: Default::default(),
    };
    engine.create_group(&operator(), group).await.unwrap();
    let user = NewUser {
        group_id,
        user_id,
        role: Role::User,
        full_name: "Secondary storage".to_owned(),
        email: String::new(),
        active: true,
        profile: Default::default(),
        with_credential: false,
    };
    let user = engine.create_user(&operator(), user).await.unwrap();
    engine.create_bucket_for(&operator(), &user.canonical_id, &bucket()).await.unwrap();
}
