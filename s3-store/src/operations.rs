//! Which operations of S3 are offered. The list is not a description only: whatever is not in it is refused before it is read.

use crate::slash;

/// An operation that is offered, with a request that asks for it, so that a test can try all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OfferedOperation {
    /// Its name in the S3 API.
    pub name: &'static str,
    /// The method of the request.
    pub method: &'static str,
    /// What the request names.
    pub target: Target,
    /// The query string. `{upload}` stands for the id of an upload.
    pub query: &'static str,
    /// A header beside those of the signature. `{source}` stands for `bucket/key` of an object.
    pub header: Option<(&'static str, &'static str)>,
    /// The body.
    pub body: &'static str,
}

/// What an operation names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The whole endpoint.
    Service,
    /// A bucket.
    Bucket,
    /// An object.
    Object,
}

const fn on(name: &'static str, method: &'static str, target: Target, query: &'static str) -> OfferedOperation {
    OfferedOperation { name, method, target, query, header: None, body: "" }
}

const fn with_body(operation: OfferedOperation, body: &'static str) -> OfferedOperation {
    OfferedOperation { body, ..operation }
}

const fn copying(operation: OfferedOperation) -> OfferedOperation {
    OfferedOperation { header: Some(("x-amz-copy-source", "{source}")), ..operation }
}

const fn with_header(operation: OfferedOperation, header: (&'static str, &'static str)) -> OfferedOperation {
    OfferedOperation { header: Some(header), ..operation }
}

const TAGGING_BODY: &str = "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>";
const CORS_BODY: &str = "<CORSConfiguration><CORSRule><AllowedMethod>GET</AllowedMethod><AllowedOrigin>*</AllowedOrigin>\
    </CORSRule></CORSConfiguration>";
const OWNERSHIP_BODY: &str =
    "<OwnershipControls><Rule><ObjectOwnership>ObjectWriter</ObjectOwnership></Rule></OwnershipControls>";
const PUBLIC_ACCESS_BODY: &str =
    "<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls></PublicAccessBlockConfiguration>";
const POLICY_BODY: &str =
    r#"{"Statement":{"Effect":"Deny","Principal":"*","Action":"s3:GetBucketWebsite","Resource":"arn:aws:s3:::*"}}"#;
const LIFECYCLE_BODY: &str = "<LifecycleConfiguration><Rule><ID>a</ID><Status>Enabled</Status><Filter><Prefix>b</Prefix></Filter>\
    <Expiration><Days>1</Days></Expiration></Rule></LifecycleConfiguration>";
const WEBSITE_BODY: &str =
    "<WebsiteConfiguration><IndexDocument><Suffix>index.html</Suffix></IndexDocument></WebsiteConfiguration>";
const LOGGING_BODY: &str = "<BucketLoggingStatus/>";
const PAYMENT_BODY: &str = "<RequestPaymentConfiguration><Payer>BucketOwner</Payer></RequestPaymentConfiguration>";
const ACCELERATE_BODY: &str = "<AccelerateConfiguration><Status>Suspended</Status></AccelerateConfiguration>";
const NOTIFICATION_BODY: &str = "<NotificationConfiguration/>";
const LOCK_BODY: &str =
    "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>";
const HOLD_BODY: &str = "<LegalHold><Status>ON</Status></LegalHold>";
const RETENTION_BODY: &str =
    "<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>2100-01-01T00:00:00Z</RetainUntilDate></Retention>";
const DELETE_BODY: &str = "<Delete><Object><Key>key</Key></Object></Delete>";
const ENCRYPTION_BODY: &str = "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault>\
    <SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>";
const VERSIONING_BODY: &str = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
const COMPLETE_BODY: &str = "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber>\
    <ETag>d41d8cd98f00b204e9800998ecf8427e</ETag></Part></CompleteMultipartUpload>";

use Target::{Bucket, Object, Service};

/// Every operation that is offered. `CreateBucket` is open to every account, and makes the bucket its own.
pub const OPERATIONS: &[OfferedOperation] = &[
    on("ListBuckets", "GET", Service, ""),
    on("CreateBucket", "PUT", Bucket, ""),
    on("HeadBucket", "HEAD", Bucket, ""),
    on("DeleteBucket", "DELETE", Bucket, ""),
    on("GetBucketLocation", "GET", Bucket, "location"),
    on("GetBucketVersioning", "GET", Bucket, "versioning"),
    with_body(on("PutBucketVersioning", "PUT", Bucket, "versioning"), VERSIONING_BODY),
    on("GetBucketAcl", "GET", Bucket, "acl"),
    with_header(on("PutBucketAcl", "PUT", Bucket, "acl"), ("x-amz-acl", "private")),
    on("ListObjects", "GET", Bucket, ""),
    on("ListObjectsV2", "GET", Bucket, "list-type=2"),
    on("ListObjectVersions", "GET", Bucket, "versions"),
    on("ListMultipartUploads", "GET", Bucket, "uploads"),
    with_body(on("DeleteObjects", "POST", Bucket, "delete"), DELETE_BODY),
    with_body(on("PutObject", "PUT", Object, ""), "bytes"),
    on("GetObject", "GET", Object, ""),
    on("HeadObject", "HEAD", Object, ""),
    with_header(on("GetObjectAttributes", "GET", Object, "attributes"), ("x-amz-object-attributes", "ETag")),
    on("DeleteObject", "DELETE", Object, ""),
    on("GetObjectAcl", "GET", Object, "acl"),
    with_header(on("PutObjectAcl", "PUT", Object, "acl"), ("x-amz-acl", "private")),
    on("GetObjectTagging", "GET", Object, "tagging"),
    with_body(on("PutObjectTagging", "PUT", Object, "tagging"), TAGGING_BODY),
    on("DeleteObjectTagging", "DELETE", Object, "tagging"),
    copying(on("CopyObject", "PUT", Object, "")),
    on("CreateMultipartUpload", "POST", Object, "uploads"),
    with_body(on("UploadPart", "PUT", Object, "partNumber=1&uploadId={upload}"), "bytes"),
    copying(on("UploadPartCopy", "PUT", Object, "partNumber=1&uploadId={upload}")),
    with_body(on("CompleteMultipartUpload", "POST", Object, "uploadId={upload}"), COMPLETE_BODY),
    on("AbortMultipartUpload", "DELETE", Object, "uploadId={upload}"),
    on("ListParts", "GET", Object, "uploadId={upload}"),
    on("GetBucketCors", "GET", Bucket, "cors"),
    with_body(on("PutBucketCors", "PUT", Bucket, "cors"), CORS_BODY),
    on("DeleteBucketCors", "DELETE", Bucket, "cors"),
    on("GetBucketEncryption", "GET", Bucket, "encryption"),
    with_body(on("PutBucketEncryption", "PUT", Bucket, "encryption"), ENCRYPTION_BODY),
    on("DeleteBucketEncryption", "DELETE", Bucket, "encryption"),
    on("GetBucketOwnershipControls", "GET", Bucket, "ownershipControls"),
    with_body(on("PutBucketOwnershipControls", "PUT", Bucket, "ownershipControls"), OWNERSHIP_BODY),
    on("DeleteBucketOwnershipControls", "DELETE", Bucket, "ownershipControls"),
    on("GetBucketPolicy", "GET", Bucket, "policy"),
    on("GetBucketPolicyStatus", "GET", Bucket, "policyStatus"),
    with_body(on("PutBucketPolicy", "PUT", Bucket, "policy"), POLICY_BODY),
    on("DeleteBucketPolicy", "DELETE", Bucket, "policy"),
    on("GetBucketTagging", "GET", Bucket, "tagging"),
    with_body(on("PutBucketTagging", "PUT", Bucket, "tagging"), TAGGING_BODY),
    on("DeleteBucketTagging", "DELETE", Bucket, "tagging"),
    on("GetPublicAccessBlock", "GET", Bucket, "publicAccessBlock"),
    with_body(on("PutPublicAccessBlock", "PUT", Bucket, "publicAccessBlock"), PUBLIC_ACCESS_BODY),
    on("DeletePublicAccessBlock", "DELETE", Bucket, "publicAccessBlock"),
    on("GetBucketLifecycleConfiguration", "GET", Bucket, "lifecycle"),
    with_body(on("PutBucketLifecycleConfiguration", "PUT", Bucket, "lifecycle"), LIFECYCLE_BODY),
    on("DeleteBucketLifecycle", "DELETE", Bucket, "lifecycle"),
    on("GetObjectLockConfiguration", "GET", Bucket, "object-lock"),
    with_body(on("PutObjectLockConfiguration", "PUT", Bucket, "object-lock"), LOCK_BODY),
    on("GetObjectLegalHold", "GET", Object, "legal-hold"),
    with_body(on("PutObjectLegalHold", "PUT", Object, "legal-hold"), HOLD_BODY),
    on("GetObjectRetention", "GET", Object, "retention"),
    with_body(on("PutObjectRetention", "PUT", Object, "retention"), RETENTION_BODY),
    on("GetBucketWebsite", "GET", Bucket, "website"),
    with_body(on("PutBucketWebsite", "PUT", Bucket, "website"), WEBSITE_BODY),
    on("DeleteBucketWebsite", "DELETE", Bucket, "website"),
    on("GetBucketNotificationConfiguration", "GET", Bucket, "notification"),
    with_body(on("PutBucketNotificationConfiguration", "PUT", Bucket, "notification"), NOTIFICATION_BODY),
    on("GetBucketLogging", "GET", Bucket, "logging"),
    with_body(on("PutBucketLogging", "PUT", Bucket, "logging"), LOGGING_BODY),
    with_body(on("PutBucketRequestPayment", "PUT", Bucket, "requestPayment"), PAYMENT_BODY),
    with_body(on("PutBucketAccelerateConfiguration", "PUT", Bucket, "accelerate"), ACCELERATE_BODY),
    // What a bucket or an object has none of here: asked for, the answer is the true "there is none".
    on("GetBucketAccelerateConfiguration", "GET", Bucket, "accelerate"),
    on("GetBucketReplication", "GET", Bucket, "replication"),
    on("GetBucketRequestPayment", "GET", Bucket, "requestPayment"),
    on("DeleteBucketReplication", "DELETE", Bucket, "replication"),
];

/// The offered operation of that name.
pub(crate) fn find(name: &str) -> Option<&'static OfferedOperation> {
    OPERATIONS.iter().find(|operation| operation.name == name)
}

/// Names in a query that turn a request into another operation. The protocol layer takes a request that names one where it knows none
/// for the plain operation, so that `DELETE /bucket?acl` would delete the bucket.
const SUBRESOURCES: &[&str] = &[
    "accelerate",
    "acl",
    "analytics",
    "attributes",
    "cors",
    "delete",
    "encryption",
    "intelligent-tiering",
    "inventory",
    "legal-hold",
    "lifecycle",
    "location",
    "logging",
    "metadataConfiguration",
    "metadataTable",
    "metrics",
    "notification",
    "object-lock",
    "ownershipControls",
    "partNumber",
    "policy",
    "policyStatus",
    "publicAccessBlock",
    "replication",
    "requestPayment",
    "restore",
    "retention",
    "select",
    "session",
    "tagging",
    "torrent",
    "uploadId",
    "uploads",
    "versioning",
    "versions",
    "website",
];

/// Whether a parameter turns a request into another operation.
pub(crate) fn is_subresource(name: &str) -> bool {
    SUBRESOURCES.contains(&name)
}

/// Whether a parameter turns a request into another operation without a signature of version 2 covering it.
pub(crate) fn is_unsigned_by_v2(name: &str) -> bool {
    is_subresource(name) && !slash::signs(name)
}

/// The sub-resource in the query of a plain operation that stands for another operation, when there is one. A name without a value that
/// nobody knows is one, too, where something would be changed.
pub(crate) fn stray_subresource(operation: &str, query: &str) -> Option<String> {
    let changes = match operation {
        "PutObject" | "CopyObject" | "DeleteObject" | "CreateBucket" | "DeleteBucket" => true,
        "GetObject" | "HeadObject" | "ListObjects" | "ListObjectsV2" | "HeadBucket" | "ListBuckets" => false,
        _ => return None,
    };
    let reads_part = matches!(operation, "GetObject" | "HeadObject");
    url::form_urlencoded::parse(query.as_bytes())
        .find(|(name, value)| {
            let known = is_subresource(name) && !(reads_part && name == "partNumber");
            let nameless =
                changes && value.is_empty() && !name.is_empty() && !name.to_ascii_lowercase().starts_with("x-");
            known || (nameless && name != "versionId")
        })
        .map(|(name, _)| name.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = OPERATIONS.iter().map(|operation| operation.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), OPERATIONS.len());
    }

    #[test]
    fn plain_operations_refuse_what_would_be_another() {
        for (operation, query) in [
            ("DeleteBucket", "acl"),
            ("DeleteBucket", "versioning"),
            ("DeleteBucket", "whatever"),
            ("CreateBucket", "metadataConfiguration="),
            ("PutObject", "cors"),
            ("PutObject", "uploadId=00"),
            ("PutObject", "renameObject"),
            ("DeleteObject", "acl&versionId=null"),
            ("GetObject", "uploads"),
        ] {
            assert!(stray_subresource(operation, query).is_some(), "{operation} {query}");
        }
        for (operation, query) in [
            ("DeleteBucket", ""),
            ("PutObject", "x-id=PutObject"),
            ("PutObject", "X-Amz-Security-Token=&X-Amz-Signature=00"),
            ("GetObject", "partNumber=1"),
            ("GetObject", "response-content-type=&versionId="),
            ("ListObjects", "prefix=&marker=&delimiter="),
            ("UploadPart", "partNumber=1&uploadId=00"),
        ] {
            assert_eq!(stray_subresource(operation, query), None, "{operation} {query}");
        }
    }
}
