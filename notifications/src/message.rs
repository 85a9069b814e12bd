//! An event as S3 writes it.

use engine::{Event, EventKind};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::macros::format_description;

use crate::Error;

/// The message of an event.
pub(crate) fn of(event: &Event, region: &str) -> Result<Vec<u8>, Error> {
    let message = match event.kind {
        EventKind::Test => test(event),
        _ => json!({ "Records": [record(event, region)] }),
    };
    serde_json::to_vec(&message).map_err(Error::Message)
}

fn test(event: &Event) -> Value {
    json!({
        "Service": "Amazon S3",
        "Event": "s3:TestEvent",
        "Time": time_of(event),
        "Bucket": event.bucket,
        "RequestId": event.request_id.as_deref().unwrap_or_default(),
        "HostId": "",
    })
}

fn record(event: &Event, region: &str) -> Value {
    let mut object = json!({ "key": encoded(&event.key) });
    if let Some(size_bytes) = event.size_bytes {
        object["size"] = size_bytes.into();
    }
    if let Some(etag) = &event.etag {
        object["eTag"] = etag.as_str().into();
    }
    if let Some(version_id) = &event.version_id {
        object["versionId"] = version_id.as_str().into();
    }
    object["sequencer"] = format!("{:016X}", event.seq).into();
    json!({
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": region,
        "eventTime": time_of(event),
        "eventName": event.kind.name(),
        "userIdentity": { "principalId": event.principal.as_deref().unwrap_or("Anonymous") },
        "requestParameters": { "sourceIPAddress": event.source_ip.as_deref().unwrap_or_default() },
        "responseElements": { "x-amz-request-id": event.request_id.as_deref().unwrap_or_default(), "x-amz-id-2": "" },
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": event.rule_id,
            "bucket": {
                "name": event.bucket,
                "ownerIdentity": { "principalId": event.bucket_owner },
                "arn": format!("arn:aws:s3:::{}", event.bucket),
            },
            "object": object,
        },
    })
}

fn time_of(event: &Event) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(event.time_us) * 1000);
    time.ok().and_then(|time| time.format(&format).ok()).unwrap_or_default()
}

/// A key as a form would send it, but for its slashes.
fn encoded(key: &str) -> String {
    url::form_urlencoded::byte_serialize(key.as_bytes()).collect::<String>().replace("%2F", "/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: EventKind) -> Event {
        Event {
            kind,
            bucket: "photos".to_owned(),
            bucket_owner: "owner".to_owned(),
            key: "a b/ü".to_owned(),
            seq: 255,
            time_us: 1_727_776_800_123_456,
            size_bytes: Some(3),
            etag: Some("tag".to_owned()),
            version_id: None,
            rule_id: "rule".to_owned(),
            principal: Some("ada".to_owned()),
            source_ip: Some("10.0.0.1".to_owned()),
            request_id: Some("R".to_owned()),
        }
    }

    #[test]
    fn a_record_has_what_readers_of_s3_events_look_for() {
        let bytes = of(&event(EventKind::CreatedPut), "eu").expect("a message");
        let message: Value = serde_json::from_slice(&bytes).expect("JSON");
        let record = &message["Records"][0];
        assert_eq!(record["eventName"], "ObjectCreated:Put");
        assert_eq!(record["eventTime"], "2024-10-01T10:00:00.123Z");
        assert_eq!(record["awsRegion"], "eu");
        let object = json!({ "key": "a+b/%C3%BC", "size": 3, "eTag": "tag", "sequencer": "00000000000000FF" });
        assert_eq!(record["s3"]["object"], object);
        assert_eq!(record["s3"]["bucket"]["arn"], "arn:aws:s3:::photos");
    }

    #[test]
    fn a_test_names_the_bucket() {
        let bytes = of(&event(EventKind::Test), "eu").expect("a message");
        let message: Value = serde_json::from_slice(&bytes).expect("JSON");
        assert_eq!((&message["Event"], &message["Bucket"]), (&json!("s3:TestEvent"), &json!("photos")));
    }
}
