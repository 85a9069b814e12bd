//! Each operation needs the actions that S3 documents for it, and no others: a user with just those may, one who lacks one of them may not.

use s3_store::OPERATIONS;

use crate::answer::Answer;
use crate::client::Client;
use crate::iam::iam_user;
use crate::operations::{request, with_upload};

/// The actions of an operation as the table's request asks for it. There is no other arm: a new operation needs a line.
fn actions_of(operation: &str) -> &'static [&'static str] {
    match operation {
        "ListBuckets" => &["s3:ListAllMyBuckets"],
        "CreateBucket" => &["s3:CreateBucket"],
        "DeleteBucket" => &["s3:DeleteBucket"],
        "HeadBucket" | "ListObjects" | "ListObjectsV2" => &["s3:ListBucket"],
        "ListObjectVersions" => &["s3:ListBucketVersions"],
        "ListMultipartUploads" => &["s3:ListBucketMultipartUploads"],
        "GetBucketLocation" => &["s3:GetBucketLocation"],
        "GetBucketVersioning" => &["s3:GetBucketVersioning"],
        "PutBucketVersioning" => &["s3:PutBucketVersioning"],
        "GetBucketAcl" => &["s3:GetBucketAcl"],
        "PutBucketAcl" => &["s3:PutBucketAcl"],
        "PutObject" | "CreateMultipartUpload" | "UploadPart" | "CompleteMultipartUpload" => &["s3:PutObject"],
        "CopyObject" | "UploadPartCopy" => &["s3:GetObject", "s3:PutObject"],
        "GetObject" | "HeadObject" => &["s3:GetObject"],
        "GetObjectAttributes" => &["s3:GetObject", "s3:GetObjectAttributes"],
        "DeleteObject" | "DeleteObjects" => &["s3:DeleteObject"],
        "AbortMultipartUpload" => &["s3:AbortMultipartUpload"],
        "ListParts" => &["s3:ListMultipartUploadParts"],
        "GetObjectAcl" => &["s3:GetObjectAcl"],
        "PutObjectAcl" => &["s3:PutObjectAcl"],
        "GetObjectTagging" => &["s3:GetObjectTagging"],
        "PutObjectTagging" => &["s3:PutObjectTagging"],
        "DeleteObjectTagging" => &["s3:DeleteObjectTagging"],
        "GetObjectLegalHold" => &["s3:GetObjectLegalHold"],
        "PutObjectLegalHold" => &["s3:PutObjectLegalHold"],
        "GetObjectRetention" => &["s3:GetObjectRetention"],
        "PutObjectRetention" => &["s3:PutObjectRetention"],
        "GetBucketCors" => &["s3:GetBucketCORS"],
        "PutBucketCors" | "DeleteBucketCors" => &["s3:PutBucketCORS"],
        "GetBucketEncryption" => &["s3:GetEncryptionConfiguration"],
        "PutBucketEncryption" | "DeleteBucketEncryption" => &["s3:PutEncryptionConfiguration"],
        "GetBucketOwnershipControls" => &["s3:GetBucketOwnershipControls"],
        "PutBucketOwnershipControls" | "DeleteBucketOwnershipControls" => &["s3:PutBucketOwnershipControls"],
        "GetBucketPolicy" => &["s3:GetBucketPolicy"],
        "GetBucketPolicyStatus" => &["s3:GetBucketPolicyStatus"],
        "PutBucketPolicy" => &["s3:PutBucketPolicy"],
        "DeleteBucketPolicy" => &["s3:DeleteBucketPolicy"],
        "GetBucketTagging" => &["s3:GetBucketTagging"],
        "PutBucketTagging" | "DeleteBucketTagging" => &["s3:PutBucketTagging"],
        "GetPublicAccessBlock" => &["s3:GetBucketPublicAccessBlock"],
        "PutPublicAccessBlock" | "DeletePublicAccessBlock" => &["s3:PutBucketPublicAccessBlock"],
        "GetBucketLifecycleConfiguration" => &["s3:GetLifecycleConfiguration"],
        "PutBucketLifecycleConfiguration" | "DeleteBucketLifecycle" => &["s3:PutLifecycleConfiguration"],
        "GetObjectLockConfiguration" => &["s3:GetBucketObjectLockConfiguration"],
        "PutObjectLockConfiguration" => &["s3:PutBucketObjectLockConfiguration"],
        "GetBucketWebsite" => &["s3:GetBucketWebsite"],
        "PutBucketWebsite" => &["s3:PutBucketWebsite"],
        "DeleteBucketWebsite" => &["s3:DeleteBucketWebsite"],
        "GetBucketNotificationConfiguration" => &["s3:GetBucketNotification"],
        "PutBucketNotificationConfiguration" => &["s3:PutBucketNotification"],
        "GetBucketLogging" => &["s3:GetBucketLogging"],
        "PutBucketLogging" => &["s3:PutBucketLogging"],
        "GetBucketRequestPayment" => &["s3:GetBucketRequestPayment"],
        "PutBucketRequestPayment" => &["s3:PutBucketRequestPayment"],
        "GetBucketAccelerateConfiguration" => &["s3:GetAccelerateConfiguration"],
        "PutBucketAccelerateConfiguration" => &["s3:PutAccelerateConfiguration"],
        "GetBucketReplication" => &["s3:GetReplicationConfiguration"],
        "DeleteBucketReplication" => &["s3:PutReplicationConfiguration"],
        other => panic!("{other} is in no line"),
    }
}

/// A policy of effects and the actions that they are about.
pub(crate) fn policy(statements: &[(&str, &[&str])]) -> String {
    let statement =
        |(effect, actions): &(&str, &[&str])| format!(r#"{{"Effect":"{effect}","Action":{actions:?},"Resource":"*"}}"#);
    let statements: Vec<_> = statements.iter().map(statement).collect();
    format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, statements.join(","))
}

/// Whether an answer says that the caller may not.
pub(crate) fn is_denied(answer: &Answer) -> bool {
    answer.status == 403 || answer.elements("Code") == ["AccessDenied"]
}

async fn asked(client: &Client, name: &str, upload: &str) -> Answer {
    let operation = OPERATIONS.iter().find(|operation| operation.name == name).expect("an operation of the table");
    let request = request(operation, "photos", upload);
    // A copy onto itself that changes nothing is refused to everybody.
    let changes = name == "CopyObject";
    client.send(if changes { request.header("x-amz-metadata-directive", "REPLACE") } else { request }).await
}

#[tokio::test]
async fn the_actions_of_an_operation_are_enough() {
    for operation in OPERATIONS {
        let (endpoint, upload) = with_upload().await;
        let user = iam_user(&endpoint, "user", Some(&policy(&[("Allow", actions_of(operation.name))]))).await;
        let answer = asked(&user, operation.name, &upload).await;
        assert!(!is_denied(&answer), "{} with {:?}: {}", operation.name, actions_of(operation.name), answer.text());
    }
}

#[tokio::test]
async fn none_of_the_actions_of_an_operation_is_too_many() {
    let (endpoint, upload) = with_upload().await;
    for operation in OPERATIONS {
        for (number, action) in actions_of(operation.name).iter().enumerate() {
            let all_but_one = policy(&[("Allow", &["s3:*"]), ("Deny", &[action])]);
            let user = iam_user(&endpoint, &format!("{}-{number}", operation.name), Some(&all_but_one)).await;
            let answer = asked(&user, operation.name, &upload).await;
            assert!(is_denied(&answer), "{} without {action}: {} {}", operation.name, answer.status, answer.text());
        }
    }
    assert_eq!(endpoint.get("/photos/key").await.text(), "content");
}
