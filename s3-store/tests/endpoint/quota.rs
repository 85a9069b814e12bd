//! What a bucket with a quota answers.

use engine::{BucketName, Caller, Quota};

use crate::client::Request;
use crate::harness::Endpoint;

#[tokio::test]
async fn an_upload_beyond_it_is_refused_before_its_body_comes() {
    let endpoint = Endpoint::with_bucket("photos").await;
    let name = BucketName::new("photos").expect("a name");
    let quota = Some(Quota { size_bytes_max: Some(100), objects_max: Some(2) });
    endpoint.engine.set_bucket_quota(&Caller::LocalOperator, &name, quota).await.expect("set");
    endpoint.put("/photos/a", &[1; 60]).await;
    let refused = endpoint.ada.send(Request::new("PUT", "/photos/b").body(vec![1; 41])).await;
    assert_eq!(refused.told(), "403 QuotaExceeded", "{}", refused.text());
    assert!(refused.element("Message").contains("100 bytes"), "{}", refused.text());
    let copy = Request::new("PUT", "/photos/b").header("x-amz-copy-source", "photos/a");
    assert_eq!(endpoint.ada.send(copy).await.told(), "403 QuotaExceeded");
    let upload = endpoint.ada.send(Request::new("POST", "/photos/b?q:uploads")).await.element("UploadId");
    let part = Request::new("PUT", "/photos/b").query("partNumber", "1").query("uploadId", &upload);
    assert_eq!(endpoint.ada.send(part.body(vec![1; 41])).await.told(), "403 QuotaExceeded");
    endpoint.put("/photos/b", &[1; 40]).await;
    let third = endpoint.ada.send(Request::new("PUT", "/photos/c")).await;
    assert_eq!(third.told(), "403 QuotaExceeded");
    assert!(third.element("Message").contains("2 objects"), "{}", third.text());
    assert_eq!(endpoint.ada.send(Request::new("DELETE", "/photos/b")).await.status, 204);
    endpoint.put("/photos/c", b"fits").await;
}
