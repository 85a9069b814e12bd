//! Logs of accesses, as buckets are asked for them.

use crate::client::{Request, Signature};
use crate::harness::Endpoint;

fn enabled(target: &str, rest: &str) -> String {
    format!(
        "<BucketLoggingStatus><LoggingEnabled><TargetBucket>{target}</TargetBucket><TargetPrefix>log/</TargetPrefix>{rest}\
         </LoggingEnabled></BucketLoggingStatus>"
    )
}

async fn set(endpoint: &Endpoint, document: &str) -> String {
    endpoint.ada.send(Request::new("PUT", "/photos?q:logging").body(document)).await.told()
}

/// A bucket whose requests may be logged into another one.
async fn two_buckets() -> Endpoint {
    let endpoint = Endpoint::with_bucket("photos").await;
    endpoint.make_bucket("logs").await;
    let policy = r#"{"Statement":[{"Effect":"Allow","Principal":{"Service":"logging.s3.amazonaws.com"},
        "Action":"s3:PutObject","Resource":"arn:aws:s3:::logs/log/*"}]}"#;
    let put = endpoint.ada.send(Request::new("PUT", "/logs?q:policy").body(policy)).await;
    assert_eq!(put.told(), "204", "{}", put.text());
    endpoint
}

/// The lines of all logs that were delivered, each as its fields.
async fn delivered(endpoint: &Endpoint) -> Vec<Vec<String>> {
    endpoint.engine.run_workers().await.expect("the work is done");
    let mut lines = Vec::new();
    for key in endpoint.get("/logs").await.elements("Key") {
        lines.extend(endpoint.get(&format!("/logs/{key}")).await.text().lines().map(fields));
    }
    lines
}

/// The fields of a line: those in quotes and brackets hold blanks.
fn fields(line: &str) -> Vec<String> {
    let (mut fields, mut rest) = (Vec::new(), line);
    while !rest.is_empty() {
        let end = match rest.as_bytes()[0] {
            b'"' => rest[1..].find('"').expect("a quote ends") + 2,
            b'[' => rest.find(']').expect("a bracket ends") + 1,
            _ => rest.find(' ').unwrap_or(rest.len()),
        };
        fields.push(rest[..end].to_owned());
        rest = rest[end..].trim_start();
    }
    fields
}

#[tokio::test]
async fn a_bucket_says_where_its_log_goes() {
    let endpoint = two_buckets().await;
    assert!(endpoint.get("/photos?q:logging").await.elements("LoggingEnabled").is_empty());
    assert_eq!(set(&endpoint, &enabled("logs", "")).await, "200");
    let shown = endpoint.get("/photos?q:logging").await;
    assert_eq!(shown.elements("TargetBucket"), ["logs"]);
    assert_eq!(shown.elements("TargetPrefix"), ["log/"]);
    let by_day = "<TargetObjectKeyFormat><PartitionedPrefix><PartitionDateSource>EventTime</PartitionDateSource>\
        </PartitionedPrefix></TargetObjectKeyFormat>";
    assert_eq!(set(&endpoint, &enabled("logs", by_day)).await, "200");
    assert_eq!(endpoint.get("/photos?q:logging").await.elements("PartitionDateSource"), ["EventTime"]);
    assert_eq!(set(&endpoint, "<BucketLoggingStatus/>").await, "200");
    assert!(endpoint.get("/photos?q:logging").await.elements("LoggingEnabled").is_empty());
}

#[tokio::test]
async fn what_takes_no_log_is_refused() {
    let endpoint = two_buckets().await;
    let never = "<TargetObjectKeyFormat><PartitionedPrefix><PartitionDateSource>Never</PartitionDateSource>\
        </PartitionedPrefix></TargetObjectKeyFormat>";
    let grants = "<TargetGrants><Grant><Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"Group\">\
        <URI>http://acs.amazonaws.com/groups/global/AllUsers</URI></Grantee><Permission>READ</Permission></Grant></TargetGrants>";
    for (document, told) in [
        (enabled("missing", ""), "400 InvalidTargetBucketForLogging"),
        (enabled("photos", ""), "400 InvalidTargetBucketForLogging"),
        (enabled("logs", never), "400 MalformedXML"),
        (enabled("logs", grants), "501 NotImplemented"),
        ("<BucketLoggingStatus><LoggingEnabled/></BucketLoggingStatus>".to_owned(), "400 MalformedXML"),
    ] {
        assert_eq!(set(&endpoint, &document).await, told, "{document}");
    }
    assert!(endpoint.get("/photos?q:logging").await.elements("LoggingEnabled").is_empty());
}

#[tokio::test]
async fn requests_are_told_with_who_did_what_and_what_came_of_it() {
    let endpoint = two_buckets().await;
    endpoint.put("/photos/before", b"not logged").await;
    assert_eq!(set(&endpoint, &enabled("logs", "")).await, "200");
    endpoint.put("/photos/a b", b"bytes").await;
    let part = endpoint.ada.send(Request::new("GET", "/photos/a b").header("range", "bytes=1-2")).await;
    assert_eq!(part.told(), "206");
    assert_eq!(endpoint.bob.send(Request::new("GET", "/photos/a b")).await.told(), "403 AccessDenied");
    let nobody = endpoint.ada.send(Request::new("GET", "/photos/missing").signed(Signature::None)).await;
    assert_eq!(nobody.told(), "403 AccessDenied");
    let delete = "<Delete><Object><Key>a b</Key></Object></Delete>";
    assert_eq!(endpoint.ada.send(Request::new("POST", "/photos?q:delete").body(delete)).await.told(), "200");
    let lines = delivered(&endpoint).await;
    let told: Vec<String> = lines
        .iter()
        .map(|line| [&line[4], &line[6], &line[7], &line[9], &line[10]].map(String::as_str).join(" "))
        .collect();
    let ada = endpoint.ada_id.as_str();
    let bob = lines[3][4].as_str();
    assert_eq!(
        told,
        [
            format!("{ada} REST.PUT.LOGGING_STATUS - 200 -"),
            format!("{ada} REST.PUT.OBJECT a%20b 200 -"),
            format!("{ada} REST.GET.OBJECT a%20b 206 -"),
            format!("{bob} REST.GET.OBJECT a%20b 403 AccessDenied"),
            "- REST.GET.OBJECT missing 403 AccessDenied".to_owned(),
            format!("{ada} REST.POST.MULTI_OBJECT_DELETE - 200 -"),
            format!("{ada} BATCH.DELETE.OBJECT a%20b 204 -"),
        ]
    );
    assert!(bob.len() > 8 && bob != ada, "{bob}");
    for line in &lines {
        assert_eq!(line.len(), 26, "{line:?}");
        assert_eq!([&line[0], &line[1], &line[3]], [ada, "photos", "-"], "{line:?}");
    }
    // Of the range: bytes sent, size of the object.
    assert_eq!(lines[2][11..13], ["2", "5"]);
    assert_eq!(lines[2][19..21], ["SigV4", "-"]);
    assert!(delivered(&endpoint).await.len() == lines.len(), "each line once");
}
