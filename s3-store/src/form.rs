//! Uploading by HTML form: the fields, then the file, which goes to the engine while it arrives.
//!
//! The protocol layer would hold the whole file in memory. So forms are read here, with a parser of forms, and what is S3's of them (the
//! signed policy, the names of fields, the answers) stands in `form_policy`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use engine::{Body, BucketName, Caller, Engine, NewObject, ObjectInfo, ObjectKey, WriteConditions};
use futures::StreamExt as _;
use http::header::{CONTENT_TYPE, ETAG, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use multer::{Field, Multipart};
use s3s::{S3Result, s3_error};

use crate::context::RequestContext;
use crate::encryption::{self, Way};
use crate::error::{BodyFault, custom, from_engine};
use crate::facts::FormSender;
use crate::form_policy::{self, FormPolicy, Proof};
use crate::form_stream::{self, FileBegins, TooMuch};
use crate::headers::{object_headers, storage_class};
use crate::listing::Coding;
use crate::{acl, checksums, durability, lifecycle, lock, tagging};

/// All fields together, and so each of them, as in S3.
const FIELDS_SIZE_BYTES_MAX: usize = 20 * 1024;
const FIELDS_MAX: usize = 100;

/// A form as it came: its fields by name in lower case, and the file behind them.
struct Form {
    fields: BTreeMap<String, String>,
    file: Field<'static>,
}

/// What a form asks for, after its policy was checked.
struct Wanted {
    caller: Caller,
    key: ObjectKey,
    policy: Option<FormPolicy>,
}

/// Stores the file of a form.
pub(crate) async fn upload(
    engine: &Engine,
    bucket: &BucketName,
    (context, way): (&RequestContext, Way),
    sender: &FormSender<'_>,
    body: crate::drain::DrainedBody,
) -> S3Result<Response<s3s::Body>> {
    let form = read(sender.headers, body).await?;
    let now_us = engine.clock().now_us();
    let object_headers = as_headers(&form.fields)?;
    let wanted = check(engine, bucket, (sender, &object_headers), &form, now_us).await?;
    context.set_caller(&wanted.caller);
    let new = new_object(&form.fields, &object_headers, way)?;
    let body = file_body(form.file, &object_headers, wanted.policy.as_ref())?;
    let stored = engine.put_object(&wanted.caller, bucket, &wanted.key, new, body).await.map_err(from_engine)?;
    let mut response = answer(&form.fields, bucket, &stored)?;
    durability::show(response.headers_mut(), stored.durability);
    encryption::show(response.headers_mut(), stored.encryption.as_ref());
    lifecycle::show(response.headers_mut(), stored.expiry.as_ref());
    Ok(response)
}

/// Reads the fields up to the file.
async fn read(headers: &HeaderMap, body: crate::drain::DrainedBody) -> S3Result<Form> {
    let malformed =
        || s3_error!(MalformedPOSTRequest, "The body of your POST request is not well-formed multipart/form-data.");
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let boundary = multer::parse_boundary(kind).map_err(|_| malformed())?;
    let file_begins = FileBegins::default();
    let mut multipart = Multipart::new(form_stream::pieces(body, file_begins.clone()), boundary);
    let (mut fields, mut size_bytes) = (BTreeMap::new(), 0);
    for _ in 0..=FIELDS_MAX {
        let field = multipart.next_field().await.map_err(|error| fault(&error))?;
        let field =
            field.ok_or_else(|| s3_error!(InvalidArgument, "POST requires exactly one file upload per request."))?;
        let name = field.name().unwrap_or_default().to_ascii_lowercase();
        if name == "file" {
            file_begins.tell();
            return Ok(Form { fields: with_file_name(fields, field.file_name()), file: field });
        }
        let value = field.text().await.map_err(|error| fault(&error))?;
        size_bytes += name.len() + value.len();
        if size_bytes > FIELDS_SIZE_BYTES_MAX {
            return Err(fields_too_large());
        }
        fields.insert(name, value);
    }
    Err(fields_too_large())
}

/// The key may be made of the file's name.
fn with_file_name(mut fields: BTreeMap<String, String>, file_name: Option<&str>) -> BTreeMap<String, String> {
    if let Some(key) = fields.get_mut("key") {
        let name = file_name.unwrap_or_default();
        let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
        *key = key.replace("${filename}", name);
    }
    fields
}

fn fields_too_large() -> s3s::S3Error {
    s3_error!(MaxPostPreDataLengthExceededError, "Your POST request fields preceding the upload file were too large.")
}

fn fault(error: &multer::Error) -> s3s::S3Error {
    match error {
        multer::Error::StreamReadFailed(inner) if inner.is::<TooMuch>() => fields_too_large(),
        multer::Error::StreamReadFailed(inner) => crate::error::fault_within(inner.as_ref()).to_s3(),
        _ => s3_error!(MalformedPOSTRequest, "The body of your POST request is not well-formed multipart/form-data."),
    }
}

/// Who asks, for which key, and whether the form is as its policy has it.
async fn check(
    engine: &Engine,
    bucket: &BucketName,
    (sender, object_headers): (&FormSender<'_>, &HeaderMap),
    form: &Form,
    now_us: i64,
) -> S3Result<Wanted> {
    let key = form.fields.get("key").filter(|key| !key.is_empty());
    let key = key.ok_or_else(|| s3_error!(InvalidArgument, "Bucket POST must contain a field named 'key'."))?;
    let key = ObjectKey::new(key).map_err(from_engine)?;
    let Some(text) = form.fields.get("policy") else {
        if form_policy::names_key(&form.fields) {
            return Err(s3_error!(InvalidArgument, "Bucket POST must contain a field named 'policy'."));
        }
        return Ok(Wanted { caller: Caller::Anonymous(sender.facts(object_headers, None)), key, policy: None });
    };
    let proof = Proof::of(&form.fields)?;
    let token = form.fields.get("x-amz-security-token").map(String::as_str).filter(|token| !token.is_empty());
    let login = engine.key_login_with_token(proof.access_key(), token).await.map_err(from_engine)?;
    let login = login.ok_or_else(|| s3_error!(InvalidAccessKeyId))?;
    proof.verify(text, &login.secret_key)?;
    let policy = FormPolicy::read(text)?;
    policy.check(&form.fields, bucket.as_str(), now_us)?;
    let facts = sender.facts(object_headers, Some(proof.version()));
    Ok(Wanted { caller: login.caller(facts), key, policy: Some(policy) })
}

/// The fields as the headers that a PUT would have. Tags are none of them: their field is a document.
fn as_headers(fields: &BTreeMap<String, String>) -> S3Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        let name = if name == "acl" { "x-amz-acl" } else { name.as_str() };
        let is_header = name.starts_with("x-amz-")
            || matches!(
                name,
                "cache-control"
                    | "content-type"
                    | "content-disposition"
                    | "content-encoding"
                    | "content-language"
                    | "expires"
                    | "content-md5"
            );
        if is_header {
            let none_such = |_| s3_error!(InvalidArgument, "A field has characters that no header may have.");
            let value = HeaderValue::from_bytes(value.as_bytes());
            headers.insert(HeaderName::try_from(name).map_err(|_| none_such(()))?, value.map_err(|_| none_such(()))?);
        }
    }
    crate::headers::refuse_unsupported(&headers)?;
    Ok(headers)
}

fn new_object(fields: &BTreeMap<String, String>, headers: &HeaderMap, way: Way) -> S3Result<NewObject> {
    let metadata = fields
        .iter()
        .filter_map(|(name, value)| name.strip_prefix("x-amz-meta-").map(|name| (name.to_owned(), value.clone())));
    let class = fields.get("x-amz-storage-class").map(|class| class.clone().into());
    let tags = fields.get("tagging").map(|document| tagging::of_document(document)).transpose()?;
    Ok(NewObject {
        headers: object_headers(headers),
        user_metadata: metadata.collect(),
        storage_class: storage_class(class.as_ref())?.unwrap_or_default(),
        acl: acl::of_headers(headers)?,
        tags: tags.unwrap_or_default(),
        lock: lock::of_headers(headers)?,
        encryption: encryption::of_new(headers, way)?,
        conditions: WriteConditions::default(),
        by_form: true,
    })
}

/// The file as it arrives, within the sizes that the policy allows: what is too large or too small never becomes an object, nor what
/// has another digest than its form says.
fn file_body(file: Field<'static>, headers: &HeaderMap, policy: Option<&FormPolicy>) -> S3Result<Body> {
    let (least, most) = policy.and_then(FormPolicy::size_range).unwrap_or((0, engine::PUT_SIZE_BYTES_MAX));
    let got = Arc::new(AtomicU64::new(0));
    let so_far = got.clone();
    let bytes = file.map(move |item: Result<Bytes, multer::Error>| {
        let bytes = item.map_err(|_| BodyFault::Incomplete)?;
        let size_bytes = so_far.fetch_add(bytes.len() as u64, Ordering::Relaxed) + bytes.len() as u64;
        if size_bytes > most { Err(BodyFault::FormTooLarge.into()) } else { Ok(bytes) }
    });
    let end = futures::stream::once(async move {
        if got.load(Ordering::Relaxed) < least { Err(BodyFault::FormTooSmall.into()) } else { Ok(Bytes::new()) }
    });
    let expected = checksums::announced(headers)?;
    let keep = checksums::algorithms_of(&expected).collect();
    Ok(Body { expected, keep, ..Body::new(Box::pin(bytes.chain(end))) })
}

/// The answer that the form asks for: another page, or a status.
fn answer(
    fields: &BTreeMap<String, String>,
    bucket: &BucketName,
    stored: &ObjectInfo,
) -> S3Result<Response<s3s::Body>> {
    let internal = || s3_error!(InternalError);
    let key = stored.key.as_str();
    let place = format!("/{bucket}/{}", Coding::Url.encode(key));
    let mut response = Response::new(s3s::Body::empty());
    let etag = format!("\"{}\"", stored.etag);
    response.headers_mut().insert(ETAG, HeaderValue::try_from(&etag).map_err(|_| internal())?);
    let redirect = fields.get("success_action_redirect").or_else(|| fields.get("redirect"));
    if let Some(mut target) = redirect.and_then(|target| url::Url::parse(target).ok()) {
        target
            .query_pairs_mut()
            .append_pair("bucket", bucket.as_str())
            .append_pair("key", key)
            .append_pair("etag", &etag);
        *response.status_mut() = StatusCode::SEE_OTHER;
        let target = HeaderValue::try_from(target.as_str()).map_err(|_| internal())?;
        response.headers_mut().insert(LOCATION, target);
        return Ok(response);
    }
    response.headers_mut().insert(LOCATION, HeaderValue::try_from(&place).map_err(|_| internal())?);
    match fields.get("success_action_status").map(String::as_str) {
        Some("200") => *response.status_mut() = StatusCode::OK,
        Some("201") => {
            *response.status_mut() = StatusCode::CREATED;
            let (bucket, key, etag) = (bucket.as_str(), crate::answer::escape(key), crate::answer::escape(&etag));
            let xml = format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<PostResponse><Location>{}</Location><Bucket>{bucket}</Bucket>\
                 <Key>{key}</Key><ETag>{etag}</ETag></PostResponse>",
                crate::answer::escape(&place),
            );
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
            *response.body_mut() = s3s::Body::from(Bytes::from(xml));
        }
        Some(_) | None => *response.status_mut() = StatusCode::NO_CONTENT,
    }
    Ok(response)
}

/// A form that goes to an object instead of a bucket.
pub(crate) fn refused() -> s3s::S3Error {
    custom(
        "MethodNotAllowed",
        StatusCode::METHOD_NOT_ALLOWED,
        "A form is posted to a bucket; the key is one of its fields.",
    )
}
