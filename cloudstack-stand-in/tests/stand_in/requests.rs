//! Signatures, the cut at 500, paging, rights, jobs and events.

use std::time::{Duration, Instant};

use cloudstack_stand_in::{Cloud, Options, StandIn};
use serde_json::Value;

use crate::common::{ask, owned, recording, send, signed, signed_as_is};

async fn started(cloud: Cloud) -> StandIn {
    StandIn::start(cloud, Options::default()).await.unwrap()
}

#[tokio::test]
async fn recorded_signatures_are_taken_or_refused_as_they_were() {
    let stand_in = started(Cloud::empty()).await;
    // 2026-11-22T04:35:00Z, before the recorded requests expire.
    stand_in.control().freeze_clock(1_795_322_100_000);
    let path = format!("{}/../tests/data/recordings/signed-requests.json", env!("CARGO_MANIFEST_DIR"));
    let file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    for request in file["requests"].as_array().unwrap() {
        let parameters = request["parameters"].as_object().unwrap().iter();
        let mut parameters: Vec<_> =
            parameters.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect();
        parameters.push(("signature".to_owned(), request["signature"].as_str().unwrap().to_owned()));
        let got = send(&stand_in.base_url(), &parameters, "").await.unwrap();
        assert_eq!(request["status"], got.status, "{}", request["what"]);
    }
}

#[tokio::test]
async fn requests_without_right_credentials_get_the_recorded_refusal() {
    let stand_in = started(Cloud::recorded()).await;
    let url = stand_in.base_url();
    let (key, secret) = stand_in.control().admin_keys();
    let good = (key.clone(), secret.clone());
    let list = owned(&[("command", "listDomains"), ("response", "json"), ("listall", "true")]);
    let with = |more: &[(&str, &str)]| [list.clone(), owned(more)].concat();

    let past = with(&[("signatureVersion", "3"), ("expires", "2020-01-01T00:00:00+0000")]);
    let malformed = with(&[("signatureVersion", "3"), ("expires", "soon")]);
    let cases = [
        ("error-bad-signature", signed(&url, &(key.clone(), "wrong".to_owned()), &list).await),
        ("error-unknown-key", signed(&url, &("unknown".to_owned(), secret), &list).await),
        ("error-expired", signed_as_is(&url, &good, past).await),
        ("error-malformed-expires", signed_as_is(&url, &good, malformed).await),
        ("error-malformed-expires", signed_as_is(&url, &good, with(&[("signatureVersion", "3")])).await),
        ("error-no-credentials", send(&url, &list, "").await.unwrap()),
    ];
    for (name, got) in cases {
        let recorded = &recording(name)["answer"];
        assert_eq!((&recorded["status"], &recorded["body"]), (&got.status.into(), &got.json()), "{name}");
    }
    assert_eq!(signed_as_is(&url, &good, list).await.status, 200, "version 1 has no expires");
}

#[tokio::test]
async fn a_list_without_paging_is_cut_at_500_without_a_word() {
    let stand_in = started(Cloud::grown(700, 1200)).await;
    let (url, keys) = (stand_in.base_url(), stand_in.control().admin_keys());
    for (command, object, total) in [("listAccounts", "account", 1201), ("listDomains", "domain", 701)] {
        let all = [("command", command), ("listall", "true"), ("details", "min")];
        let cut = ask(&url, &keys, &all).await.inner();
        assert_eq!(cut["count"], total);
        assert_eq!(cut[object].as_array().unwrap().len(), 500);

        let mut seen = std::collections::HashSet::new();
        for page in ["1", "2", "3"] {
            let paged = [&all[..], &[("page", page), ("pagesize", "500")]].concat();
            let got = ask(&url, &keys, &paged).await.inner();
            let rows = got[object].as_array().cloned().unwrap_or_default();
            seen.extend(rows.into_iter().map(|row| row["id"].as_str().unwrap().to_owned()));
        }
        assert_eq!(seen.len(), total, "{command}");
    }
}

#[tokio::test]
async fn a_page_of_a_large_cloud_is_cheap() {
    let stand_in = started(Cloud::grown(10_000, 100_000)).await;
    let (url, keys) = (stand_in.base_url(), stand_in.control().admin_keys());
    let begun = Instant::now();
    for page in ["1", "100", "200", "201"] {
        let parameters =
            [("command", "listAccounts"), ("listall", "true"), ("details", "min"), ("page", page), ("pagesize", "500")];
        assert_eq!(ask(&url, &keys, &parameters).await.inner()["count"], 100_001);
    }
    // Generous, because the build is not optimised and others use the machine too.
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn rights_end_where_the_domain_ends() {
    let stand_in = started(Cloud::recorded()).await;
    let (url, control) = (stand_in.base_url(), stand_in.control());
    let acme_admin = control.keys_for(&control.account_id("/acme", "acme-admin").unwrap()).unwrap();
    let homer = control.account_id("/globex", "homer").unwrap();
    assert_eq!(ask(&url, &acme_admin, &[("command", "listAccounts"), ("id", &homer)]).await.status, 531);
    assert_eq!(ask(&url, &acme_admin, &[("command", "deleteAccount"), ("id", &homer)]).await.status, 531);
    assert_eq!(ask(&url, &acme_admin, &[("command", "createDomain"), ("name", "x")]).await.status, 432);
    assert!(control.account_id("/globex", "homer").is_some());

    let ada = control.keys_for(&control.account_id("/acme", "ada").unwrap()).unwrap();
    let admin_user = "a10b37e3-e629-11f1-955b-02fc00000001";
    for command in ["getUserKeys", "registerUserKeys", "updateUser"] {
        assert_eq!(ask(&url, &ada, &[("command", command), ("id", admin_user)]).await.status, 531, "{command}");
    }
    let own = ask(&url, &ada, &[("command", "listAccounts")]).await.inner();
    assert_eq!(own["count"], 1);
    control.set_setting("allow.user.view.all.domain.accounts", "true").unwrap();
    let whole_domain = ask(&url, &ada, &[("command", "listAccounts")]).await.inner();
    assert_eq!(whole_domain["count"], 5);
}

#[tokio::test]
async fn keys_are_made_by_a_job_and_work() {
    let stand_in = started(Cloud::recorded()).await;
    let (url, admin) = (stand_in.base_url(), stand_in.control().admin_keys());
    let zoe = "367ec907-6c57-4616-80df-031ed47fd687";
    let job = ask(&url, &admin, &[("command", "registerUserKeys"), ("id", zoe)]).await.inner();
    let poll = [("command", "queryAsyncJobResult"), ("jobid", job["jobid"].as_str().unwrap())];
    assert_eq!(ask(&url, &admin, &poll).await.inner()["jobstatus"], 0);
    let done = ask(&url, &admin, &poll).await.inner();
    let recorded = &recording("register-user-keys-job")["answer"]["body"]["queryasyncjobresultresponse"];
    let fields = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(fields(&done), fields(recorded));
    let pair = &done["jobresult"]["userkeys"];
    assert_eq!(fields(pair), fields(&recorded["jobresult"]["userkeys"]));
    let keys = (pair["apikey"].as_str().unwrap().to_owned(), pair["secretkey"].as_str().unwrap().to_owned());
    assert_eq!(ask(&url, &keys, &[("command", "listAccounts")]).await.inner()["account"][0]["name"], "zoë");
}

#[tokio::test]
async fn events_are_hints_only() {
    let stand_in = started(Cloud::recorded()).await;
    let (url, control) = (stand_in.base_url(), stand_in.control());
    let admin = control.admin_keys();
    control.freeze_clock(1_795_400_000_000);
    let dev = control.domain_id("/acme/dev").unwrap();
    let globex = control.domain_id("/globex").unwrap();
    control.move_domain(&dev, &globex).unwrap();
    assert_eq!(control.domain_id("/globex/dev"), Some(dev));
    control.suppress_events(true);
    control.rename_domain(&globex, "globex-2").unwrap();
    control.suppress_events(false);
    control.advance_clock(Duration::from_secs(60));
    control.delete_domain(&control.domain_id("/temporary").unwrap(), true).unwrap();

    let all = ask(&url, &admin, &[("command", "listEvents"), ("listall", "true")]).await.inner();
    let types: Vec<&str> =
        all["event"].as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["DOMAIN.MOVE", "DOMAIN.DELETE", "DOMAIN.DELETE", "DOMAIN.DELETE"]);
    assert_eq!(all["event"][0]["resourceid"], globex.as_str(), "the new parent");
    // 1,795,400,000 s is 2026-11-23 02:13:20.
    let since = [("command", "listEvents"), ("listall", "true"), ("startdate", "2026-11-23 02:13:21")];
    assert_eq!(ask(&url, &admin, &since).await.inner()["count"], 3);
    let newest = [("command", "listEvents"), ("listall", "true"), ("page", "1"), ("pagesize", "1")];
    assert_eq!(ask(&url, &admin, &newest).await.inner()["event"][0]["state"], "Completed");
}

#[tokio::test]
async fn stores_are_noted_without_their_keys() {
    let stand_in = started(Cloud::recorded()).await;
    let (url, admin) = (stand_in.base_url(), stand_in.control().admin_keys());
    let add = [
        ("command", "addImageStore"),
        ("provider", "S3"),
        ("name", "cloudhold"),
        ("details[0].key", "accesskey"),
        ("details[0].value", "AK"),
        ("details[0].secretkey", "hidden"),
    ];
    assert_eq!(ask(&url, &admin, &add).await.inner()["imagestore"]["providername"], "S3");
    let listed = ask(&url, &admin, &[("command", "listImageStores")]).await.inner();
    assert_eq!(listed["imagestore"][0]["name"], "cloudhold");
    let given = stand_in.control().added_stores();
    assert_eq!(given[0]["details[0].value"], "AK");
    assert!(!given[0].to_string().contains("hidden"));
}
