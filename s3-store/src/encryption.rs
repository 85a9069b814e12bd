//! Server-side encryption: what headers ask for, what answers say, and the default of a bucket.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::{
    Action, BucketEncryption, BucketName, CustomerKey, Encryption, Engine, KMS_KEY_DEFAULT, KmsDefault, NewEncryption,
};
use http::{Extensions, HeaderMap, HeaderName, HeaderValue};
use md5::{Digest as _, Md5};
use s3s::dto::{
    self, DeleteBucketEncryptionInput, DeleteBucketEncryptionOutput, GetBucketEncryptionInput,
    GetBucketEncryptionOutput, PutBucketEncryptionInput, PutBucketEncryptionOutput, ServerSideEncryption,
    ServerSideEncryptionByDefault, ServerSideEncryptionConfiguration, ServerSideEncryptionRule,
};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use crate::Settings;
use crate::context::RequestContext;
use crate::elements::encryption_that_blocks;
use crate::error::{from_engine, none_such, not_implemented};
use crate::headers::{bucket, caller, check_owner, text};

const ALGORITHM: HeaderName = HeaderName::from_static("x-amz-server-side-encryption");
const KMS_KEY: HeaderName = HeaderName::from_static("x-amz-server-side-encryption-aws-kms-key-id");
const CUSTOMER_ALGORITHM: HeaderName = HeaderName::from_static("x-amz-server-side-encryption-customer-algorithm");
const CUSTOMER_MD5: HeaderName = HeaderName::from_static("x-amz-server-side-encryption-customer-key-md5");
/// Where the headers of a customer's key begin: that of the object itself, and that of the source of a copy.
const OF_OBJECT: &str = "x-amz-server-side-encryption-customer-";
const OF_SOURCE: &str = "x-amz-copy-source-server-side-encryption-customer-";

/// What decides whether a customer's key may be taken: it must not travel in the open.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    is_secure: bool,
}

impl Way {
    /// The way that a request came.
    pub(crate) fn new(is_secure: bool, settings: &Settings) -> Self {
        Self { is_secure: is_secure || !settings.customer_keys_need_tls }
    }

    /// The way as it was noted with the request.
    pub(crate) fn of(extensions: &Extensions) -> Self {
        extensions.get::<Self>().copied().unwrap_or(Self { is_secure: false })
    }
}

/// The customer's key of the object that a request is about.
pub(crate) fn customer_key(headers: &HeaderMap, way: Way) -> S3Result<Option<CustomerKey>> {
    key_of(headers, OF_OBJECT, way)
}

/// The customer's key of the source of a copy.
pub(crate) fn source_key(headers: &HeaderMap, way: Way) -> S3Result<Option<CustomerKey>> {
    key_of(headers, OF_SOURCE, way)
}

/// The customer's key for reading an object. Its other headers are for writing.
pub(crate) fn reading_key(headers: &HeaderMap, way: Way) -> S3Result<Option<CustomerKey>> {
    if headers.contains_key(ALGORITHM) || headers.contains_key(KMS_KEY) {
        return Err(s3_error!(
            InvalidArgument,
            "x-amz-server-side-encryption header is not supported for this operation."
        ));
    }
    customer_key(headers, way)
}

fn key_of(headers: &HeaderMap, prefix: &str, way: Way) -> S3Result<Option<CustomerKey>> {
    let [algorithm, key, md5] = ["algorithm", "key", "key-md5"].map(|name| text(headers, &format!("{prefix}{name}")));
    if algorithm.is_none() && key.is_none() && md5.is_none() {
        return Ok(None);
    }
    if !way.is_secure {
        return Err(s3_error!(
            InvalidRequest,
            "Requests specifying Server Side Encryption with Customer provided keys must be made over a secure connection."
        ));
    }
    match algorithm.as_deref() {
        Some("AES256") => {}
        Some(_) => return Err(s3_error!(InvalidEncryptionAlgorithmError)),
        None => {
            return Err(s3_error!(
                InvalidArgument,
                "Requests specifying Server Side Encryption with Customer provided keys must provide a valid encryption algorithm."
            ));
        }
    }
    let Some(key) = key else {
        return Err(s3_error!(
            InvalidArgument,
            "Requests specifying Server Side Encryption with Customer provided keys must provide an appropriate secret key."
        ));
    };
    let bytes = STANDARD.decode(key).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    let Some(bytes) = bytes else {
        return Err(s3_error!(InvalidArgument, "The secret key was invalid for the specified algorithm."));
    };
    let computed = STANDARD.encode(Md5::digest(bytes));
    if md5.as_deref() != Some(&computed) {
        return Err(s3_error!(
            InvalidArgument,
            "The calculated MD5 hash of the key did not match the hash that was provided."
        ));
    }
    Ok(Some(CustomerKey::new(bytes, computed)))
}

/// How a new object is to be encrypted.
pub(crate) fn of_new(headers: &HeaderMap, way: Way) -> S3Result<NewEncryption> {
    let customer = customer_key(headers, way)?;
    let algorithm = text(headers, ALGORITHM.as_str());
    let kms_key = text(headers, KMS_KEY.as_str());
    if customer.is_some() && (algorithm.is_some() || kms_key.is_some()) {
        return Err(s3_error!(
            InvalidArgument,
            "Server Side Encryption with Customer provided key is incompatible with the encryption method specified"
        ));
    }
    match (customer, algorithm.as_deref(), kms_key) {
        (Some(key), _, _) => Ok(NewEncryption::Customer(key)),
        (None, None, None) => Ok(NewEncryption::OfBucket),
        (None, Some(ServerSideEncryption::AES256), None) => Ok(NewEncryption::Managed),
        (None, Some(ServerSideEncryption::AWS_KMS), key_id) => Ok(NewEncryption::Kms(key_id)),
        (None, Some(ServerSideEncryption::AES256) | None, Some(_)) => Err(s3_error!(
            InvalidArgument,
            "Server Side Encryption with AWS KMS managed key requires HTTP header x-amz-server-side-encryption : aws:kms"
        )),
        (None, Some(_), _) => Err(s3_error!(InvalidArgument, "The encryption method specified is not supported")),
    }
}

/// Says in an answer how an object is encrypted.
pub(crate) fn show(headers: &mut HeaderMap, encryption: Option<&Encryption>) {
    let mut say = |name: HeaderName, value: &str| {
        // What is kept came from a header or from the configuration; what could be none is left out.
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    };
    match encryption {
        None => {}
        Some(Encryption::Managed) => say(ALGORITHM, ServerSideEncryption::AES256),
        Some(Encryption::Kms(key_id)) => {
            say(ALGORITHM, ServerSideEncryption::AWS_KMS);
            say(KMS_KEY, key_id);
        }
        Some(Encryption::Customer(md5)) => {
            say(CUSTOMER_ALGORITHM, ServerSideEncryption::AES256);
            say(CUSTOMER_MD5, md5);
        }
    }
}

pub(crate) async fn of_bucket(
    engine: &Engine,
    request: S3Request<GetBucketEncryptionInput>,
) -> S3Result<S3Response<GetBucketEncryptionOutput>> {
    let name = bucket(&request.input.bucket)?;
    check_owner(engine, &name, request.input.expected_bucket_owner.as_deref()).await?;
    let kept = engine.bucket_setting::<BucketEncryption>(&caller(&request), &name).await.map_err(from_engine)?;
    let kept = kept.ok_or_else(|| {
        none_such(
            "ServerSideEncryptionConfigurationNotFoundError",
            "The server side encryption configuration was not found",
        )
    })?;
    let rule = ServerSideEncryptionRule {
        apply_server_side_encryption_by_default: Some(ServerSideEncryptionByDefault {
            kms_master_key_id: kept.kms.as_ref().and_then(|kms| kms.key_id.clone()),
            sse_algorithm: ServerSideEncryption::from_static(match kept.kms {
                Some(_) => ServerSideEncryption::AWS_KMS,
                None => ServerSideEncryption::AES256,
            }),
        }),
        bucket_key_enabled: Some(kept.bucket_key),
    };
    let configuration = ServerSideEncryptionConfiguration { rules: vec![rule] };
    Ok(S3Response::new(GetBucketEncryptionOutput { server_side_encryption_configuration: Some(configuration) }))
}

pub(crate) async fn put_of_bucket(
    engine: &Engine,
    request: S3Request<PutBucketEncryptionInput>,
) -> S3Result<S3Response<PutBucketEncryptionOutput>> {
    let name = bucket(&request.input.bucket)?;
    check_owner(engine, &name, request.input.expected_bucket_owner.as_deref()).await?;
    let setting = default_of(&request.input.server_side_encryption_configuration)?;
    engine.set_bucket_setting(&caller(&request), &name, Some(&setting)).await.map_err(from_engine)?;
    Ok(S3Response::new(PutBucketEncryptionOutput::default()))
}

/// Sets the default of a bucket by a document that the protocol layer did not take, as it knows nothing of blocked ways; whether it was one of
/// those. No way is blocked here, so that a document that blocks none says what is true, and any other is refused.
pub(crate) async fn put_again(
    engine: &Engine,
    context: &RequestContext,
    name: &BucketName,
    expected_owner: Option<&str>,
) -> S3Result<bool> {
    let (Some(who), Some("PutBucketEncryption")) = (context.caller(), context.operation()) else { return Ok(false) };
    let Some((configuration, blocked)) = encryption_that_blocks(&context.document()) else { return Ok(false) };
    check_owner(engine, name, expected_owner).await?;
    if blocked.iter().any(|way| way != "NONE") {
        engine.bucket_for(who, name, Action::PutEncryptionConfiguration).await.map_err(from_engine)?;
        return Err(not_implemented("Blocking ways of encryption"));
    }
    let setting = default_of(&configuration)?;
    engine.set_bucket_setting(who, name, Some(&setting)).await.map_err(from_engine)?;
    Ok(true)
}

pub(crate) async fn delete_of_bucket(
    engine: &Engine,
    request: S3Request<DeleteBucketEncryptionInput>,
) -> S3Result<S3Response<DeleteBucketEncryptionOutput>> {
    let name = bucket(&request.input.bucket)?;
    check_owner(engine, &name, request.input.expected_bucket_owner.as_deref()).await?;
    engine.set_bucket_setting::<BucketEncryption>(&caller(&request), &name, None).await.map_err(from_engine)?;
    Ok(S3Response::new(DeleteBucketEncryptionOutput::default()))
}

/// The default that a document sets: one rule.
fn default_of(configuration: &dto::ServerSideEncryptionConfiguration) -> S3Result<BucketEncryption> {
    let [rule] = configuration.rules.as_slice() else { return Err(s3_error!(MalformedXML)) };
    let Some(default) = &rule.apply_server_side_encryption_by_default else { return Err(s3_error!(MalformedXML)) };
    let key_id = default.kms_master_key_id.clone().filter(|key_id| !key_id.is_empty());
    let kms = match (default.sse_algorithm.as_str(), key_id) {
        (ServerSideEncryption::AES256, None) => None,
        (ServerSideEncryption::AES256, Some(_)) => {
            return Err(s3_error!(
                InvalidArgument,
                "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms"
            ));
        }
        (ServerSideEncryption::AWS_KMS, key_id) => {
            Some(KmsDefault { key_id: key_id.filter(|key_id| key_id != KMS_KEY_DEFAULT) })
        }
        (_, _) => return Err(s3_error!(MalformedXML)),
    };
    Ok(BucketEncryption { kms, bucket_key: rule.bucket_key_enabled.unwrap_or(false) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECURE: Way = Way { is_secure: true };

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().expect("a value"))).collect()
    }

    fn asked(pairs: &[(&'static str, &str)], way: Way) -> String {
        match of_new(&headers(pairs), way) {
            Ok(NewEncryption::OfBucket) => "bucket".to_owned(),
            Ok(NewEncryption::Managed) => "managed".to_owned(),
            Ok(NewEncryption::Kms(key)) => format!("kms {key:?}"),
            Ok(NewEncryption::Customer(_)) => "customer".to_owned(),
            Err(error) => error.code().as_str().to_owned(),
        }
    }

    #[test]
    fn headers_say_how_an_object_is_encrypted() {
        let algorithm = "x-amz-server-side-encryption";
        let kms_key = "x-amz-server-side-encryption-aws-kms-key-id";
        assert_eq!(asked(&[], SECURE), "bucket");
        assert_eq!(asked(&[(algorithm, "AES256")], SECURE), "managed");
        assert_eq!(asked(&[(algorithm, "aws:kms")], SECURE), "kms None");
        assert_eq!(asked(&[(algorithm, "aws:kms"), (kms_key, "k")], SECURE), "kms Some(\"k\")");
        assert_eq!(asked(&[(algorithm, "AES256"), (kms_key, "k")], SECURE), "InvalidArgument");
        assert_eq!(asked(&[(kms_key, "k")], SECURE), "InvalidArgument");
        assert_eq!(asked(&[(algorithm, "rot13")], SECURE), "InvalidArgument");
    }

    #[test]
    fn a_customers_key_comes_whole_and_over_a_secure_connection() {
        let key = STANDARD.encode([7; 32]);
        let md5 = STANDARD.encode(Md5::digest([7; 32]));
        let all = [
            ("x-amz-server-side-encryption-customer-algorithm", "AES256"),
            ("x-amz-server-side-encryption-customer-key", key.as_str()),
            ("x-amz-server-side-encryption-customer-key-md5", md5.as_str()),
        ];
        assert_eq!(asked(&all, SECURE), "customer");
        assert_eq!(asked(&all, Way { is_secure: false }), "InvalidRequest");
        for missing in 0..all.len() {
            let some: Vec<_> = all.iter().enumerate().filter(|(at, _)| *at != missing).map(|(_, pair)| *pair).collect();
            assert_eq!(asked(&some, SECURE), "InvalidArgument", "{missing}");
        }
        let short = STANDARD.encode([7; 16]);
        assert_eq!(asked(&[all[0], (all[1].0, &short), all[2]], SECURE), "InvalidArgument");
        assert_eq!(asked(&[all[0], all[1], (all[2].0, "AAAA")], SECURE), "InvalidArgument");
        assert_eq!(asked(&[(all[0].0, "AES128"), all[1], all[2]], SECURE), "InvalidEncryptionAlgorithmError");
        let both = [all[0], all[1], all[2], ("x-amz-server-side-encryption", "AES256")];
        assert_eq!(asked(&both, SECURE), "InvalidArgument");
    }
}
