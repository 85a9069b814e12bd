//! The way of a request: health check and preflight, then the check in front, then the protocol layer, then the last touch.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use engine::Engine;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, ORIGIN, RANGE};
use http::uri::Scheme;
use http::{HeaderMap, Method, StatusCode, Uri};
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::validation::NameValidation;
use s3s::{S3Result, s3_error};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::access_log::{self, Asked, Line};
use crate::auth::{Checked, FrontCheck, X_AMZ_DATE};
use crate::body::{BodyKind, GuardedBody};
use crate::chunk_signatures::Signatures;
use crate::chunks::Framing;
use crate::context::RequestContext;
use crate::cors::Allowed;
use crate::drain::DrainedBody;
use crate::encryption::{self, Way};
use crate::error::from_engine;
use crate::facts::FormSender;
use crate::gate::{Gate, Secrets};
use crate::headers::text;
use crate::host::Hosts;
use crate::iam::{self, Identities};
use crate::operations::is_subresource;
use crate::store::Store;
use crate::website::{self, Visit};
use crate::{Settings, answer, cors, facts, form};

/// A path that only asks whether the endpoint answers.
const HEALTH_PATH: &str = "/.healthCheck";
/// Sub-resources of an object whose body is a document.
const DOCUMENTS_OF_OBJECTS: [&str; 4] = ["acl", "legal-hold", "retention", "tagging"];

/// The unit in which the memory for documents is counted.
const DOCUMENT_UNIT_BYTES: usize = 1 << 10;

type Request = http::Request<DrainedBody>;

/// The S3 endpoint. It answers every method and path.
pub fn router(engine: Engine, settings: &Settings) -> Router {
    let settings = Arc::new(settings.clone());
    let door = Door {
        service: service(&engine, &settings),
        identities: Identities::new(engine.clone(), settings.clone()),
        check: FrontCheck { engine, settings: settings.clone() },
        hosts: Hosts::new(&settings),
        websites: Hosts::of(&settings.website_domains),
        documents: Arc::new(Semaphore::new(units(settings.documents_size_bytes_max))),
        settings,
    };
    Router::new().fallback(serve).with_state(Arc::new(door))
}

struct Door {
    service: S3Service,
    check: FrontCheck,
    hosts: Hosts,
    identities: Identities,
    websites: Hosts,
    /// Memory that documents may still take.
    documents: Arc<Semaphore>,
    settings: Arc<Settings>,
}

struct EngineNames;

impl NameValidation for EngineNames {
    fn validate_bucket_name(&self, name: &str) -> bool {
        engine::BucketName::new(name).is_ok()
    }
}

fn service(engine: &Engine, settings: &Arc<Settings>) -> S3Service {
    let mut config = S3Config::default();
    config.xml_max_body_size = settings.document_size_bytes_max;
    config.presigned_url_max_skew_time_secs = settings.skew_seconds_max;
    // Forms are refused in front; should one come through, it finds no room.
    config.post_object_max_file_size = 0;
    config.form_max_fields_size = 0;
    let mut builder = S3ServiceBuilder::new(Store { engine: engine.clone(), settings: settings.clone() });
    builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
    builder.set_auth(Secrets(engine.clone()));
    builder.set_access(Gate(engine.clone()));
    builder.set_host(Hosts::new(settings));
    builder.set_validation(EngineNames);
    builder.build()
}

async fn serve(State(door): State<Arc<Door>>, request: axum::extract::Request) -> Response {
    let context = RequestContext::new();
    let asked = Asked {
        method: request.method().clone(),
        uri: request.uri().clone(),
        version: request.version(),
        headers: request.headers().clone(),
        peer: facts::peer_of(request.extensions()),
        started: Instant::now(),
        started_us: door.check.engine.clock().now_us(),
    };
    let (parts, body) = request.into_parts();
    if iam::is_meant(&parts) {
        return door.identities.serve(parts, body).await;
    }
    let from_page = parts.headers.contains_key(ORIGIN);
    let bucket = door.bucket_of(&parts.headers, &parts.uri);
    let allowed = door.allowed_origins(from_page, bucket.as_ref()).await;
    let body = DrainedBody::new(body, &parts.headers);
    let rest = body.rest(parts.version);
    let request = Request::from_parts(parts, body);
    let span = tracing::info_span!("s3", request_id = context.request_id());
    let answered = async {
        match door.visited(&request) {
            Some(buckets) => door.show_website(request, buckets, &context).await,
            None => answer::finish(door.answer(request, &context, allowed.as_ref()).await, &context, asked.uri.path()),
        }
    };
    let mut response = tracing::Instrument::instrument(answered, span).await;
    if let Some(allowed) = &allowed {
        cors::decorate(allowed, &asked.method, &asked.headers, response.headers_mut());
    }
    rest.tell(&mut response);
    count(&context, response.status(), asked.started);
    door.logged(asked, context, bucket, response.map(Body::new)).await
}

/// Requests by operation and class of status. No name of a bucket or user goes into a metric.
fn count(context: &RequestContext, status: StatusCode, started: Instant) {
    let operation = context.operation().unwrap_or("none");
    let class = match status.as_u16() {
        0..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    };
    metrics::counter!("cloudhold_s3_requests_total", "operation" => operation, "status" => class).increment(1);
    metrics::histogram!("cloudhold_s3_request_seconds", "operation" => operation)
        .record(started.elapsed().as_secs_f64());
}

impl Door {
    async fn answer(
        &self,
        request: Request,
        context: &RequestContext,
        allowed: Option<&Allowed<'_>>,
    ) -> http::Response<s3s::Body> {
        match self.route(request, context, allowed).await {
            Ok(response) => response,
            Err(error) => answer::of_error(error),
        }
    }

    async fn route(
        &self,
        mut request: Request,
        context: &RequestContext,
        allowed: Option<&Allowed<'_>>,
    ) -> S3Result<http::Response<s3s::Body>> {
        let bucket_of_host = host(&request).and_then(|host| self.hosts.bucket(host));
        if bucket_of_host.is_none() && is_health_check(&request) {
            return Ok(plain("OK\n"));
        }
        if request.method() == Method::OPTIONS {
            let mut response = http::Response::new(s3s::Body::empty());
            let by_store = Allowed::ByStore(&self.settings);
            *response.headers_mut() = cors::preflight(allowed.unwrap_or(&by_store), request.headers())?;
            return Ok(response);
        }
        context.set_facts(self.facts_of(&request, context));
        let way = Way::new(is_secure(&request), &self.settings);
        request.extensions_mut().insert(way);
        if is_form(&request) {
            return self.upload_form(request, context).await;
        }
        refuse_method(&request, bucket_of_host.is_some())?;
        facts::check(request.headers(), request.uri())?;
        let checked = self.check.check(request.method(), request.uri(), request.headers()).await?;
        let signatures = checked.and_then(|checked| go_on_as(&mut request, checked, context));
        ignore_unreadable_range(&mut request);
        let kind = self.body_kind(&request, bucket_of_host.is_some())?;
        let _memory = self.memory_for(&request, kind)?;
        let is_kept = matches!(kind, BodyKind::Document { is_kept: true, .. });
        let bucket = is_kept.then(|| self.bucket_of(request.headers(), request.uri())).flatten();
        let again = bucket.map(|name| (name, text(request.headers(), "x-amz-expected-bucket-owner")));
        let request = guarded(request, kind, context, signatures);
        let mut response = self.service.call(request).await.unwrap_or_else(answer::of_failure);
        if let Some((name, expected_owner)) = again
            && answer::code_of(&mut response).as_deref() == Some("MalformedXML")
            && encryption::put_again(&self.check.engine, context, &name, expected_owner.as_deref()).await?
        {
            return Ok(http::Response::new(s3s::Body::empty()));
        }
        Ok(response)
    }

    /// The buckets whose website a request may be for; `None` for one to the API.
    fn visited(&self, request: &Request) -> Option<Vec<String>> {
        let is_preflight = *request.method() == Method::OPTIONS;
        host(request).filter(|_| !is_preflight).and_then(|host| self.websites.websites(host))
    }

    async fn show_website(
        &self,
        request: Request,
        buckets: Vec<String>,
        context: &RequestContext,
    ) -> http::Response<s3s::Body> {
        let (facts, is_secure) = (self.facts_of(&request, context), is_secure(&request));
        let visit = Visit {
            buckets,
            caller: engine::Caller::Anonymous(facts),
            method: request.method(),
            uri: request.uri(),
            headers: request.headers(),
            host: host(&request).unwrap_or_default(),
            is_secure,
        };
        website::serve(&self.check.engine, &visit, context).await
    }

    fn facts_of(&self, request: &Request, context: &RequestContext) -> engine::Facts {
        facts::of(
            facts::peer_of(request.extensions()),
            is_secure(request),
            request.headers(),
            request.uri(),
            (self.check.engine.clock(), &self.settings),
            context.request_id(),
        )
    }

    /// A form has its proof among its fields, and no other one beside.
    async fn upload_form(&self, request: Request, context: &RequestContext) -> S3Result<http::Response<s3s::Body>> {
        let query = request.uri().query().unwrap_or_default();
        if request.headers().contains_key(AUTHORIZATION) || !query.is_empty() {
            return Err(s3_error!(InvalidArgument, "Only one auth mechanism allowed: a form has it among its fields."));
        }
        let in_host = host(&request).and_then(|host| self.hosts.bucket(host)).is_some();
        let path = request.uri().path().trim_matches('/');
        if (in_host && !path.is_empty()) || (!in_host && path.contains('/')) {
            return Err(form::refused());
        }
        let bucket = self.bucket_of(request.headers(), request.uri()).ok_or_else(form::refused)?;
        context.set_operation("PostObject");
        let (peer, is_secure) = (facts::peer_of(request.extensions()), is_secure(&request));
        let (parts, body) = request.into_parts();
        let way = Way::of(&parts.extensions);
        let (headers, clock, request_id) = (&parts.headers, self.check.engine.clock(), context.request_id());
        let sender = FormSender { peer, is_secure, headers, clock, settings: &self.settings, request_id };
        form::upload(&self.check.engine, &bucket, (context, way), &sender, body).await
    }

    /// Which pages may read the answer; `None` for a request that comes from no page.
    async fn allowed_origins(&self, from_page: bool, bucket: Option<&engine::BucketName>) -> Option<Allowed<'_>> {
        if !from_page {
            return None;
        }
        let rules = match bucket {
            // A bucket that is not there, or cannot be looked up now, has no rules.
            Some(name) => self.check.engine.cors_rules(name).await.ok().flatten(),
            None => None,
        };
        Some(rules.map_or(Allowed::ByStore(&self.settings), Allowed::ByBucket))
    }

    /// Has an answer followed to its end where the bucket's owner wants a log of it.
    async fn logged(
        &self,
        asked: Asked,
        context: RequestContext,
        bucket: Option<engine::BucketName>,
        response: Response,
    ) -> Response {
        let Some(bucket) = bucket.filter(|_| context.error_code() != Some("NoSuchBucket")) else { return response };
        let Some(log) = self.check.engine.access_log(&bucket).await else { return response };
        let host_is_bucket = self.bucket_of_host(&asked.headers, &asked.uri).is_some();
        let (status, answer_headers) = (response.status(), response.headers().clone());
        let line = Line { asked, context, bucket: bucket.to_string(), host_is_bucket, status, answer_headers };
        access_log::follow(response, log, line)
    }

    fn bucket_of_host(&self, headers: &HeaderMap, uri: &Uri) -> Option<String> {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        let host = host.or_else(|| uri.authority().map(http::uri::Authority::as_str))?;
        self.websites.bucket(host).or_else(|| self.hosts.bucket(host))
    }

    /// The bucket that a request names by its host or path.
    fn bucket_of(&self, headers: &HeaderMap, uri: &Uri) -> Option<engine::BucketName> {
        let of_host = self.bucket_of_host(headers, uri);
        let of_path = || uri.path().trim_start_matches('/').split('/').next().unwrap_or_default().to_owned();
        engine::BucketName::new(&of_host.unwrap_or_else(of_path)).ok()
    }

    /// Takes the memory that a document needs until it is answered; what has no document needs none.
    fn memory_for(&self, request: &Request, kind: BodyKind) -> S3Result<Option<OwnedSemaphorePermit>> {
        let BodyKind::Document { size_bytes_max, is_kept, .. } = kind else { return Ok(None) };
        if request.body().is_end_stream() {
            return Ok(None);
        }
        let announced = request.body().size_hint().upper().and_then(|size_bytes| usize::try_from(size_bytes).ok());
        let copies = if is_kept { 2 } else { 1 };
        let wanted = units(announced.unwrap_or(size_bytes_max).min(size_bytes_max).saturating_mul(copies));
        let taken = self.documents.clone().try_acquire_many_owned(u32::try_from(wanted).unwrap_or(u32::MAX));
        taken.map(Some).map_err(|_| from_engine(engine::Error::Busy))
    }

    /// What the body of a request is, and so how it is guarded.
    fn body_kind(&self, request: &Request, host_is_bucket: bool) -> S3Result<BodyKind> {
        let headers = request.headers();
        let payload = headers.get("x-amz-content-sha256").map_or(&b""[..], |value| value.as_bytes());
        if payload.starts_with(b"STREAMING-") {
            // Anything but a version 4 header leaves the framing in the body, which would be stored as if it were the object.
            let v4 = headers.get("authorization").is_some_and(|value| value.as_bytes().starts_with(b"AWS4-"));
            if !v4 {
                return Err(s3_error!(
                    InvalidRequest,
                    "A chunked body needs an Authorization header of signature version 4."
                ));
            }
            if !is_object_data(request, host_is_bucket) && !request.body().is_end_stream() {
                return Err(s3_error!(
                    InvalidRequest,
                    "Only the bytes of an object or a part may come in a chunked body."
                ));
            }
            let unsigned = payload.starts_with(b"STREAMING-UNSIGNED-");
            let chunk_size_bytes_max = self.settings.signed_chunk_size_bytes_max;
            return Ok(BodyKind::Chunks(if unsigned {
                Framing::Unsigned
            } else {
                Framing::Signed { chunk_size_bytes_max }
            }));
        }
        let size_bytes_max = self.settings.document_size_bytes_max;
        let completes = *request.method() == Method::POST && has_parameter(request, &["uploadId"]);
        Ok(if is_object_data(request, host_is_bucket) {
            BodyKind::Data
        } else {
            let is_kept = is_looked_at_again(request, host_is_bucket);
            BodyKind::Document { size_bytes_max, checksums_are_its_own: !completes, is_kept }
        })
    }
}

/// Sizes in the unit of the semaphore, rounded up.
fn units(size_bytes: usize) -> usize {
    size_bytes.div_ceil(DOCUMENT_UNIT_BYTES).min(Semaphore::MAX_PERMITS)
}

/// Replaces of a request what the protocol layer must see otherwise; returns what is to be replaced in its chunks.
fn go_on_as(request: &mut Request, checked: Checked, context: &RequestContext) -> Option<Signatures> {
    let Checked { claim, authorization, target, signatures, date } = checked;
    context.set_claim(claim);
    if let Some(target) = target {
        *request.uri_mut() = target;
    }
    for (name, value) in [(AUTHORIZATION, authorization), (X_AMZ_DATE, date)] {
        if let Some(value) = value {
            request.headers_mut().insert(name, value);
        }
    }
    signatures
}

fn guarded(
    request: Request,
    kind: BodyKind,
    context: &RequestContext,
    signatures: Option<Signatures>,
) -> s3s::HttpRequest {
    let (mut parts, body) = request.into_parts();
    let body = GuardedBody::new(body, kind, &parts.headers, context.clone(), signatures);
    parts.extensions.insert(context.clone());
    http::Request::from_parts(parts, s3s::Body::http_body_unsync(body))
}

fn host(request: &Request) -> Option<&str> {
    let header = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    header.or_else(|| request.uri().authority().map(http::uri::Authority::as_str))
}

/// Whether a request came over TLS. The listener says so: the request line does not.
fn is_secure(request: &Request) -> bool {
    request.extensions().get::<Scheme>() == Some(&Scheme::HTTPS)
}

/// Refuses methods that S3 has not, and POST of what is not posted to. The protocol layer would take them for operations that are not offered.
fn refuse_method(request: &Request, host_is_bucket: bool) -> S3Result {
    let is_known = match *request.method() {
        Method::GET | Method::HEAD | Method::PUT | Method::DELETE => true,
        // A form goes to a bucket, and needs no sub-resource.
        Method::POST if names_object(request, host_is_bucket) => {
            request.uri().query().is_some_and(|query| !query.is_empty())
        }
        Method::POST => host_is_bucket || request.uri().path() != "/",
        _ => false,
    };
    if is_known { Ok(()) } else { Err(s3_error!(MethodNotAllowed)) }
}

fn is_health_check(request: &Request) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD) && request.uri().path() == HEALTH_PATH
}

fn plain(text: &'static str) -> http::Response<s3s::Body> {
    let mut response = http::Response::new(s3s::Body::from(bytes::Bytes::from_static(text.as_bytes())));
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("text/plain"));
    response
}

fn is_form(request: &Request) -> bool {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    *request.method() == Method::POST && kind.trim_start().to_ascii_lowercase().starts_with("multipart/form-data")
}

/// A range that cannot be read, or several, are answered with the whole object, as HTTP and S3 have it; the protocol layer would refuse.
/// Only a range that is signed stays: without it the signature would not fit.
fn ignore_unreadable_range(request: &mut Request) {
    let readable = |range: &str| s3s::dto::Range::parse(range).is_ok();
    let range = request.headers().get(RANGE).map(|range| range.to_str().is_ok_and(readable));
    let query = request.uri().query().unwrap_or_default();
    let mut signed: Vec<String> = url::form_urlencoded::parse(query.as_bytes())
        .filter(|(name, _)| name == "X-Amz-SignedHeaders")
        .map(|(_, names)| names.to_ascii_lowercase())
        .collect();
    if let Some(authorization) = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok()) {
        signed.push(authorization.to_ascii_lowercase());
    }
    let is_signed = signed.iter().any(|names| names.split([';', ',', '=', ' ']).any(|name| name == RANGE.as_str()));
    if range == Some(false) && !is_signed {
        request.headers_mut().remove(RANGE);
    }
}

fn is_object_data(request: &Request, host_is_bucket: bool) -> bool {
    *request.method() == Method::PUT
        && names_object(request, host_is_bucket)
        && !has_parameter(request, &DOCUMENTS_OF_OBJECTS)
}

/// Whether a document may have elements that the protocol layer does not know: one that makes a bucket, says how it is encrypted, or locks an
/// object.
fn is_looked_at_again(request: &Request, host_is_bucket: bool) -> bool {
    let query = request.uri().query().unwrap_or_default();
    let is_plain = || !url::form_urlencoded::parse(query.as_bytes()).any(|(name, _)| is_subresource(&name));
    *request.method() == Method::PUT
        && match names_object(request, host_is_bucket) {
            true => has_parameter(request, &["retention"]),
            false => has_parameter(request, &["encryption"]) || is_plain(),
        }
}

fn names_object(request: &Request, host_is_bucket: bool) -> bool {
    // The protocol layer decodes a path before it looks for the bucket in it.
    let path = percent_encoding::percent_decode_str(request.uri().path().trim_start_matches('/'));
    if host_is_bucket { path.count() > 0 } else { path.skip_while(|byte| *byte != b'/').nth(1).is_some() }
}

fn has_parameter(request: &Request, names: &[&str]) -> bool {
    let query = request.uri().query().unwrap_or_default();
    url::form_urlencoded::parse(query.as_bytes()).any(|(name, _)| names.contains(&name.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, uri: &str) -> Request {
        let body = DrainedBody::new(Body::empty(), &HeaderMap::new());
        http::Request::builder().method(method).uri(uri).body(body).expect("a request")
    }

    #[test]
    fn object_data_is_told_from_documents() {
        for (method, uri, host_is_bucket, data) in [
            ("PUT", "/b/k", false, true),
            ("PUT", "/b/k?partNumber=1&uploadId=0", false, true),
            ("PUT", "/b//k", false, true),
            ("PUT", "/b%2Fk", false, true),
            ("PUT", "/b%2f", false, false),
            ("PUT", "/k", true, true),
            ("PUT", "/b", false, false),
            ("PUT", "/b/", false, false),
            ("PUT", "/", true, false),
            ("PUT", "/b/k?tagging", false, false),
            ("POST", "/b/k?uploadId=0", false, false),
            ("POST", "/b?delete", false, false),
        ] {
            assert_eq!(is_object_data(&request(method, uri), host_is_bucket), data, "{method} {uri}");
        }
    }

    /// Remembers the counters that were asked for.
    #[derive(Default)]
    struct Counters(std::sync::Mutex<Vec<String>>);

    impl metrics::Recorder for Counters {
        fn describe_counter(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}
        fn describe_gauge(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}
        fn describe_histogram(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}

        fn register_counter(&self, key: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Counter {
            self.0.lock().expect("one thread").push(key.to_string());
            metrics::Counter::noop()
        }

        fn register_gauge(&self, _: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Gauge {
            metrics::Gauge::noop()
        }

        fn register_histogram(&self, _: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Histogram {
            metrics::Histogram::noop()
        }
    }

    #[test]
    fn requests_are_counted_by_operation_and_class() {
        let counters = Counters::default();
        metrics::with_local_recorder(&counters, || {
            let context = RequestContext::new();
            count(&context, StatusCode::FORBIDDEN, Instant::now());
            context.set_operation("PutObject");
            count(&context, StatusCode::OK, Instant::now());
        });
        let counted = counters.0.into_inner().expect("one thread");
        assert_eq!(counted.len(), 2);
        for (key, words) in counted.iter().zip([["none", "4xx"], ["PutObject", "2xx"]]) {
            assert!(key.contains("cloudhold_s3_requests_total"), "{key}");
            assert!(words.iter().all(|word| key.contains(word)), "{key}");
        }
    }
}
