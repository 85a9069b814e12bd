//! What the control socket carries: requests and answers as JSON, and the steps in between.

use std::sync::{Arc, Mutex};

use nfs_staging::{
    EvictOutcome, EvictScope, Evicted, Kept, Progress, PullRequest, Pulled, PushRequest, Pushed, Stage, StagedFile,
    Step,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::support::{BUCKET, MIB, VOLUME, World, noise, operator, pull_request, push_request};

fn comes_back<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: &T) {
    let text = serde_json::to_string(value).unwrap();
    assert_eq!(&serde_json::from_str::<T>(&text).unwrap(), value, "{text}");
}

#[test]
fn requests_need_only_what_has_no_default() {
    let pull: PullRequest = serde_json::from_value(json!({"bucket": BUCKET, "key": VOLUME})).unwrap();
    assert_eq!(pull, pull_request(VOLUME));
    let push: PushRequest = serde_json::from_value(json!({"path": VOLUME, "bucket": BUCKET})).unwrap();
    assert_eq!(push, push_request(VOLUME));
    for (text, scope) in [
        (json!({"path": VOLUME}), EvictScope::Path(VOLUME.to_owned())),
        (json!("all"), EvictScope::All),
        (json!({"older_than_s": 60}), EvictScope::OlderThanS(60)),
    ] {
        assert_eq!(serde_json::from_value::<EvictScope>(text).unwrap(), scope);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_come_back_and_steps_lead_to_the_end() {
    let world = World::new().await;
    let content = noise(20 * MIB, 1);
    world.put(VOLUME, &content).await;
    let steps: Arc<Mutex<Vec<Step>>> = Arc::default();
    let seen = steps.clone();
    let progress: Arc<dyn Progress> = Arc::new(move |step| seen.lock().unwrap().push(step));
    let take = || std::mem::take(&mut *steps.lock().unwrap());

    let pulled: Pulled = world.staging.pull(&operator(), &pull_request(VOLUME), &progress).await.unwrap();
    comes_back(&pulled);
    assert_steps(&take(), Stage::Copying, content.len() as u64);
    let listed: Vec<StagedFile> = world.staging.list().await.unwrap();
    comes_back(&listed);
    world.write(VOLUME, &content[..19 * MIB]);
    let pushed: Pushed = world.staging.push(&operator(), &push_request(VOLUME), &progress).await.unwrap();
    comes_back(&pushed);
    assert_steps(&take(), Stage::Copying, 19 << 20);
    let scope = EvictScope::Path(VOLUME.to_owned());
    let evicted: Vec<Evicted> = world.staging.evict(&operator(), &scope, &progress).await.unwrap();
    comes_back(&evicted);
    assert_steps(&take(), Stage::Checking, 19 << 20);
    comes_back(&EvictOutcome::Kept(Kept::Failed("why".to_owned())));
}

/// The steps of a stage begin at nothing, never go back, and end with everything.
fn assert_steps(steps: &[Step], stage: Stage, total_bytes: u64) {
    steps.iter().for_each(comes_back);
    assert!(steps.iter().all(|step| &*step.path == VOLUME));
    let done: Vec<u64> = steps.iter().filter(|step| step.stage == stage).map(|step| step.done_bytes).collect();
    assert!(done.len() > 5 && done.is_sorted(), "{done:?}");
    assert_eq!((done.first(), done.last()), (Some(&0), Some(&total_bytes)));
    assert!(steps.iter().all(|step| step.stage != stage || step.total_bytes == total_bytes));
}
