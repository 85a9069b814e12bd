//! Slow, failing, lying and vanishing.

use std::time::{Duration, Instant};

use cloudstack_stand_in::{Cloud, Lie, Options, StandIn};
use serde_json::Value;

use crate::common::{Got, ask, owned, send};

struct Liar {
    stand_in: StandIn,
    keys: (String, String),
}

impl Liar {
    async fn new() -> Self {
        let stand_in = StandIn::start(Cloud::recorded(), Options::default()).await.unwrap();
        let keys = stand_in.control().admin_keys();
        Self { stand_in, keys }
    }

    async fn telling(lie: Lie) -> Self {
        let liar = Self::new().await;
        liar.stand_in.control().lie(None, lie);
        liar
    }

    async fn ask(&self, pairs: &[(&str, &str)]) -> Got {
        ask(&self.stand_in.base_url(), &self.keys, pairs).await
    }

    async fn page(&self, page: &str) -> Value {
        let parameters = [("command", "listAccounts"), ("listall", "true"), ("page", page), ("pagesize", "5")];
        self.ask(&parameters).await.inner()
    }
}

fn names(list: &Value) -> Vec<&str> {
    list["account"].as_array().unwrap().iter().map(|account| account["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn empty_and_broken_answers() {
    let list = [("command", "listDomains"), ("listall", "true")];
    assert_eq!(Liar::telling(Lie::Nothing).await.ask(&list).await.text, r#"{"listdomainsresponse":{}}"#);
    let empty = Liar::telling(Lie::EmptyArray).await.ask(&list).await;
    assert_eq!(empty.text, r#"{"listdomainsresponse":{"count":0,"domain":[]}}"#);
    assert_eq!(Liar::telling(Lie::EmptyBody).await.ask(&list).await.text, "");
    let cut = Liar::telling(Lie::Truncated).await.ask(&list).await;
    assert_eq!(cut.status, 200);
    assert!(serde_json::from_str::<Value>(&cut.text).is_err() && cut.text.starts_with('{'));
    assert!(Liar::telling(Lie::Html).await.ask(&list).await.text.starts_with("<!doctype html>"));
}

#[tokio::test]
async fn wrong_counts_and_pages() {
    assert_eq!(Liar::telling(Lie::CountOff(7)).await.page("1").await["count"], 20);
    assert_eq!(Liar::telling(Lie::CountOff(-7)).await.page("1").await["count"], 6);
    let honest = Liar::new().await;
    let (first, third) = (honest.page("1").await, honest.page("3").await);
    let short = Liar::telling(Lie::ShortPages(2)).await.page("1").await;
    assert_eq!((names(&short), &short["count"]), (names(&first)[..3].to_vec(), &Value::from(13)));
    assert_eq!(names(&Liar::telling(Lie::RepeatPages).await.page("2").await), names(&first));
    assert_eq!(names(&Liar::telling(Lie::SkipPages).await.page("2").await), names(&third));
}

#[tokio::test]
async fn a_cloud_that_shows_less_or_is_another() {
    let list = [("command", "listDomains"), ("listall", "true")];
    let without = Liar::telling(Lie::WithoutRoot).await.ask(&list).await.inner();
    assert_eq!((&without["count"], &without["domain"][0]["name"]), (&7.into(), &"acme".into()));

    let liar = Liar::new().await;
    let control = liar.stand_in.control();
    let domain = control.domain_id("/acme").unwrap();
    let homer = control.account_id("/globex", "homer").unwrap();
    control.lie(None, Lie::OnlyBelow { domain: domain.clone(), others_are_gone: false });
    assert_eq!(liar.ask(&list).await.inner()["count"], 3);
    assert_eq!(liar.ask(&[("command", "listAccounts"), ("listall", "true")]).await.inner()["count"], 7);
    assert_eq!(liar.ask(&[("command", "listAccounts"), ("id", &homer)]).await.status, 531);
    control.behave();
    control.lie(None, Lie::OnlyBelow { domain, others_are_gone: true });
    let gone = liar.ask(&[("command", "listAccounts"), ("id", &homer)]).await;
    assert_eq!((gone.status, gone.description.as_deref()), (431, Some("Unable to find account by id 9")));
    control.behave();

    let other = "11111111-2222-4333-8444-555555555555";
    control.lie(None, Lie::OtherRoot(other.to_owned()));
    let root = liar.ask(&[("command", "listDomains"), ("id", other)]).await.inner();
    assert_eq!((&root["domain"][0]["id"], &root["domain"][0]["level"]), (&other.into(), &0.into()));
    control.behave();
    assert_eq!(liar.ask(&list).await.inner()["count"], 8);
}

#[tokio::test]
async fn failures_end_and_slowness_is_felt() {
    let liar = Liar::new().await;
    let control = liar.stand_in.control();
    control.fail(Some("listAccounts"), 503, 2);
    let statuses =
        [liar.ask(&[("command", "listAccounts")]).await.status, liar.ask(&[("command", "listUsers")]).await.status];
    assert_eq!(statuses, [503, 200]);
    assert_eq!(liar.ask(&[("command", "listAccounts")]).await.status, 503);
    assert_eq!(liar.ask(&[("command", "listAccounts")]).await.status, 200);
    assert_eq!(control.request_count("listAccounts"), 3);
    let record = &control.requests()[0];
    assert_eq!((record.status, record.parameter("command")), (503, Some("listAccounts")));
    assert!(!format!("{record:?}").contains(&liar.keys.0));

    control.slow(Duration::from_millis(300));
    let begun = Instant::now();
    assert_eq!(liar.ask(&[("command", "listAccounts")]).await.status, 200);
    assert!(begun.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn it_vanishes_in_the_middle_of_an_answer_and_comes_back() {
    let liar = Liar::new().await;
    let control = liar.stand_in.control().clone();
    control.slow(Duration::from_secs(30));
    let url = liar.stand_in.base_url();
    let form = owned(&[("command", "listAccounts"), ("response", "json")]);
    let waiting = tokio::spawn({
        let (url, form) = (url.clone(), form.clone());
        async move { send(&url, &form, "").await }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    control.vanish().await;
    assert!(waiting.await.unwrap().is_err(), "the connection breaks");
    assert!(send(&url, &form, "").await.is_err(), "the port is closed");
    control.behave();
    control.come_back().await.unwrap();
    assert_eq!(liar.ask(&[("command", "listAccounts")]).await.status, 200);
    liar.stand_in.stop().await;
    assert!(send(&url, &form, "").await.is_err());
}
