//! Logs of accesses: whose they may be, where they go, and what becomes of those that nobody takes.

use std::time::Duration;

use engine::{
    AccessLogging, BucketName, CannedAcl, Error, GivenAcl, ListEntry, ListRequest, LogDate, LogKeyFormat, NewAcl,
    ObjectOwnership, RuleError,
};

use crate::world::World;

fn into_bucket(target: &BucketName) -> AccessLogging {
    AccessLogging {
        target_bucket: target.to_string(),
        target_prefix: "log/".to_owned(),
        key_format: LogKeyFormat::Simple,
    }
}

impl World {
    /// Buckets of Ada's: one whose requests are logged, and one that takes the log.
    async fn logged() -> (Self, BucketName, BucketName) {
        let world = Self::new().await;
        let (source, target) = (world.bucket("source").await, world.bucket("target").await);
        world.let_log_in(&target, "").await;
        world.engine.set_access_logging(&world.ada, &source, Some(&into_bucket(&target))).await.unwrap();
        (world, source, target)
    }

    /// Lets logs into a bucket by its policy, under a condition.
    async fn let_log_in(&self, target: &BucketName, condition: &str) {
        let policy = format!(
            r#"{{"Statement":{{"Effect":"Allow","Principal":{{"Service":"logging.s3.amazonaws.com"}},"Action":"s3:PutObject",
               "Resource":"arn:aws:s3:::{target}/log/*"{condition}}}}}"#
        );
        self.engine.set_bucket_policy(&self.ada, target, &policy).await.unwrap();
    }

    async fn note(&self, source: &BucketName, line: &str) {
        self.engine.access_log(source).await.unwrap().note(line);
    }

    /// The logs in a bucket, as key and contents.
    async fn logs(&self, target: &BucketName) -> Vec<(String, String)> {
        let request = ListRequest { entries_max: 100, ..ListRequest::default() };
        let mut logs = Vec::new();
        for entry in self.engine.list_objects(&self.ada, target, &request).await.unwrap().entries {
            let ListEntry::Object(object) = entry else { panic!("no delimiter, no prefix") };
            let bytes = self.get(target, object.key.as_str()).await.unwrap();
            logs.push((object.key.to_string(), String::from_utf8(bytes).unwrap()));
        }
        logs
    }

    /// The day of the store's clock.
    fn today(&self) -> String {
        let time = time::OffsetDateTime::from_unix_timestamp(self.engine.clock().now_us() / 1_000_000).unwrap();
        time.date().to_string()
    }

    async fn is_refused(&self, source: &BucketName, target: &BucketName) -> bool {
        let set = self.engine.set_access_logging(&self.ada, source, Some(&into_bucket(target))).await;
        matches!(set, Err(Error::Rule(RuleError::LogTarget(_))))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_are_delivered_in_their_order_and_once() {
    let (world, source, target) = World::logged().await;
    assert!(world.engine.access_log(&target).await.is_none());
    world.engine.run_workers().await.unwrap();
    assert!(world.logs(&target).await.is_empty(), "no requests, no log");
    world.note(&source, "one").await;
    world.note(&source, "two").await;
    world.engine.run_workers().await.unwrap();
    world.engine.run_workers().await.unwrap();
    let logs = world.logs(&target).await;
    assert_eq!(logs.len(), 1, "{logs:?}");
    assert_eq!(logs[0].1, "one\ntwo\n");
    let name = logs[0].0.strip_prefix("log/").unwrap();
    assert_eq!(name.split('-').map(str::len).collect::<Vec<_>>(), [4, 2, 2, 2, 2, 2, 16], "{name}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_tell_bucket_and_day_where_that_is_wanted() {
    let (world, source, target) = World::logged().await;
    let mut days = Vec::new();
    for date in [LogDate::Event, LogDate::Delivery] {
        let key_format = LogKeyFormat::Partitioned { date, region: "lan".to_owned() };
        let logging = AccessLogging { key_format, ..into_bucket(&target) };
        world.engine.set_access_logging(&world.ada, &source, Some(&logging)).await.unwrap();
        world.note(&source, "line").await;
        days.push(world.today());
        world.clock.advance(Duration::from_secs(86_400));
        world.engine.run_workers().await.unwrap();
    }
    let owner = &world.ada.account().unwrap().canonical_id;
    let logs = world.logs(&target).await;
    let starts = [format!("{}-00-00-00-", days[0]), world.today()];
    assert_eq!(logs.len(), 2);
    for ((key, _), start) in logs.iter().zip(starts) {
        let folders = start[..10].replace('-', "/");
        assert!(key.starts_with(&format!("log/{owner}/lan/source/{folders}/{start}")), "{key} {start}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_goes_only_where_it_is_let_in() {
    let (world, source, target) = World::logged().await;
    let missing = BucketName::new("missing").unwrap();
    assert!(world.is_refused(&source, &missing).await);
    let closed = world.bucket("closed").await;
    assert!(world.is_refused(&source, &closed).await);
    world.let_log_in(&closed, r#","Condition":{"StringEquals":{"aws:SourceArn":"arn:aws:s3:::other"}}"#).await;
    assert!(world.is_refused(&source, &closed).await);
    let account = world.ada.account().unwrap().canonical_id.clone();
    let conditions = format!(
        r#","Condition":{{"ArnLike":{{"aws:SourceArn":"arn:aws:s3:::source"}},"StringEquals":{{"aws:SourceAccount":"{account}"}}}}"#
    );
    world.let_log_in(&closed, &conditions).await;
    assert!(!world.is_refused(&source, &closed).await);
    // By a list, where lists count.
    let listed = world.bucket("listed").await;
    world.engine.set_bucket_ownership(&world.ada, &listed, ObjectOwnership::BucketOwnerPreferred).await.unwrap();
    assert!(world.is_refused(&source, &listed).await);
    let acl = NewAcl { acl: GivenAcl::Canned(CannedAcl::LogDeliveryWrite), owner: None };
    world.engine.set_bucket_acl(&world.ada, &listed, acl).await.unwrap();
    assert!(!world.is_refused(&source, &listed).await);
    world.note(&source, "listed").await;
    world.engine.run_workers().await.unwrap();
    assert_eq!(world.logs(&listed).await.len(), 1);
    assert!(world.logs(&target).await.is_empty());
    // Of another owner, whatever it allows.
    let eves = BucketName::new("eves").unwrap();
    world.engine.create_bucket(&world.eve, &eves).await.unwrap();
    let open = r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::eves/*"}}"#;
    world.engine.set_bucket_policy(&world.eve, &eves, open).await.unwrap();
    assert!(world.is_refused(&source, &eves).await);
    let set = world.engine.set_access_logging(&world.eve, &source, Some(&into_bucket(&eves))).await;
    assert!(matches!(set, Err(Error::AccessDenied)), "{set:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_let_in_no_more_is_dropped_and_nothing_else() {
    let (world, source, target) = World::logged().await;
    let other = world.bucket("other").await;
    world.engine.set_access_logging(&world.ada, &other, Some(&into_bucket(&other))).await.unwrap_err();
    world.let_log_in(&other, "").await;
    world.engine.set_access_logging(&world.ada, &other, Some(&into_bucket(&other))).await.unwrap();
    world.engine.delete_bucket_policy(&world.ada, &target).await.unwrap();
    world.note(&source, "refused").await;
    world.note(&other, "taken").await;
    world.engine.run_workers().await.unwrap();
    world.let_log_in(&target, "").await;
    world.engine.run_workers().await.unwrap();
    assert!(world.logs(&target).await.is_empty());
    assert_eq!(world.logs(&other).await.len(), 1);
    // Nor what waits when the log is ended.
    world.note(&source, "ended").await;
    world.engine.set_access_logging(&world.ada, &source, None).await.unwrap();
    assert!(world.engine.access_log(&source).await.is_none());
    world.engine.run_workers().await.unwrap();
    assert!(world.logs(&target).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_closed_delivers_first() {
    let (mut world, source, target) = World::logged().await;
    world.note(&source, "last").await;
    world.restart().await;
    assert_eq!(world.logs(&target).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_changes_hands_takes_no_lines_along() {
    let (world, source, _) = World::logged().await;
    world.note(&source, "of ada's bucket").await;
    world.engine.delete_bucket(&world.ada, &source).await.unwrap();
    let target = BucketName::new("eves-logs").unwrap();
    world.engine.create_bucket(&world.eve, &source).await.unwrap();
    world.engine.create_bucket(&world.eve, &target).await.unwrap();
    let policy = format!(
        r#"{{"Statement":{{"Effect":"Allow","Principal":{{"Service":"logging.s3.amazonaws.com"}},"Action":"s3:PutObject",
           "Resource":"arn:aws:s3:::{target}/*"}}}}"#
    );
    world.engine.set_bucket_policy(&world.eve, &target, &policy).await.unwrap();
    world.engine.set_access_logging(&world.eve, &source, Some(&into_bucket(&target))).await.unwrap();
    world.engine.run_workers().await.unwrap();
    let request = ListRequest { entries_max: 100, ..ListRequest::default() };
    assert!(world.engine.list_objects(&world.eve, &target, &request).await.unwrap().entries.is_empty());
    world.note(&source, "of eve's").await;
    world.engine.run_workers().await.unwrap();
    assert_eq!(world.engine.list_objects(&world.eve, &target, &request).await.unwrap().entries.len(), 1);
}
