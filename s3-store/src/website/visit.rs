//! A visitor of a website: nobody in particular, who reads pages. What may be read, the engine decides object by object.

use engine::{
    BucketName, ByteStream, Caller, Engine, Error, ObjectKey, ObjectView, Pages, ReadObject, RoutingRule, Website,
};
use http::header::{
    ACCEPT_RANGES, ALLOW, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH,
    CONTENT_RANGE, CONTENT_TYPE, ETAG, EXPIRES, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE,
    LOCATION, RANGE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Uri};
use http_body_util::StreamBody;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use s3s::dto::{self, ETagCondition, Timestamp, TimestampFormat};
use s3s::{Body, S3Result, s3_error};

use super::no_website;
use super::page::Failure;
use crate::context::RequestContext;
use crate::error::from_engine;
use crate::headers::{bucket, http_date, read_conditions, text};
use crate::object::{CONTENT_TYPE_DEFAULT, content_range, selection, shown_version};

/// What stays as it is in the path of a URL.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A visit as it came.
pub(crate) struct Visit<'a> {
    /// The names that the bucket may have; the first that there is counts.
    pub(crate) buckets: Vec<String>,
    pub(crate) caller: Caller,
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
    /// The host as the visitor called it, with its port.
    pub(crate) host: &'a str,
    pub(crate) is_secure: bool,
}

/// An object that is shown.
struct Shown {
    view: ObjectView,
    body: Option<ByteStream>,
}

/// What a visit comes to.
enum Outcome {
    Object(Box<Shown>),
    Elsewhere { status: StatusCode, location: String },
}

/// Answers a visit.
pub(crate) async fn serve(engine: &Engine, visit: &Visit<'_>, context: &RequestContext) -> Response<Body> {
    context.set_operation("WebsiteGet");
    let mut response = match visit.answer(engine, context).await {
        Ok(Outcome::Object(shown)) => of_object(*shown),
        Ok(Outcome::Elsewhere { status, location }) => of_redirect(status, &location),
        Err(failed) => failed,
    };
    if response.status() == StatusCode::NOT_MODIFIED {
        response.headers_mut().remove(CONTENT_TYPE);
        *response.body_mut() = Body::empty();
    }
    if *visit.method == Method::HEAD {
        *response.body_mut() = Body::empty();
    }
    crate::answer::add_ids(response.headers_mut(), context);
    response
}

impl Visit<'_> {
    /// The object or redirect; or the page that tells why there is none.
    async fn answer(&self, engine: &Engine, context: &RequestContext) -> Result<Outcome, Response<Body>> {
        let plain = |error| Failure::new(error).page(context, None);
        if !matches!(*self.method, Method::GET | Method::HEAD) {
            let mut refused = plain(s3_error!(MethodNotAllowed));
            refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return Err(refused);
        }
        let (bucket, website) = self.website(engine).await.map_err(plain)?;
        let key = self.key().map_err(plain)?;
        match website {
            Website::Elsewhere { host, protocol } => {
                let query = self.uri.query().map_or_else(String::new, |query| format!("?{query}"));
                let protocol = protocol.map_or(self.protocol(), engine::Protocol::as_str);
                let location = format!("{protocol}://{host}/{}{query}", utf8_percent_encode(&key, PATH));
                Ok(Outcome::Elsewhere { status: StatusCode::MOVED_PERMANENTLY, location })
            }
            Website::Pages(pages) => match self.page(engine, &bucket, &pages, &key).await {
                Ok(outcome) => Ok(outcome),
                Err(failure) => Err(self.failed(engine, context, (&bucket, &pages), failure).await),
            },
        }
    }

    /// The website of the bucket that the host names.
    async fn website(&self, engine: &Engine) -> S3Result<(BucketName, Website)> {
        for name in &self.buckets {
            // What is no name of a bucket is the name of none.
            let Ok(name) = bucket(name) else { continue };
            match engine.website(&name).await {
                Ok(website) => return website.map(|website| (name, website)).ok_or_else(no_website),
                Err(Error::NoSuchBucket) => {}
                Err(error) => return Err(from_engine(error)),
            }
        }
        Err(s3_error!(NoSuchBucket))
    }

    fn key(&self) -> S3Result<String> {
        let path = self.uri.path();
        let key = percent_decode_str(path.strip_prefix('/').unwrap_or(path)).decode_utf8();
        key.map(std::borrow::Cow::into_owned).map_err(|_| s3_error!(InvalidURI))
    }

    fn protocol(&self) -> &'static str {
        if self.is_secure { "https" } else { "http" }
    }

    /// What a key shows, by the rules that count before it is looked up, and by its folder's index.
    async fn page(&self, engine: &Engine, bucket: &BucketName, pages: &Pages, key: &str) -> Result<Outcome, Failure> {
        if let Some(rule) = pages.route(key, None) {
            return Ok(self.routed(rule, key));
        }
        let is_folder = key.is_empty() || key.ends_with('/');
        let wanted = if is_folder { format!("{key}{}", pages.index_suffix) } else { key.to_owned() };
        let error = match self.read(engine, bucket, &wanted).await {
            Ok(shown) => return Ok(redirected(shown)),
            Err(error) => error,
        };
        let is_missing = matches!(error, Error::NoSuchKey { .. } | Error::AccessDenied);
        if is_missing && !is_folder && self.has_index(engine, bucket, pages, key).await {
            let location = format!("/{}/", utf8_percent_encode(key, PATH));
            return Ok(Outcome::Elsewhere { status: StatusCode::FOUND, location });
        }
        let failure = Failure { key: Some(wanted), ..Failure::new(from_engine(error)) };
        match pages.route(key, Some(failure.status.as_u16())) {
            Some(rule) => Ok(self.routed(rule, key)),
            None => Err(failure),
        }
    }

    /// Whether a key is the name of a folder that can be shown.
    async fn has_index(&self, engine: &Engine, bucket: &BucketName, pages: &Pages, key: &str) -> bool {
        let Ok(index) = ObjectKey::new(format!("{key}/{}", pages.index_suffix)) else { return false };
        engine.head_object(&self.caller, bucket, &index, &ReadObject::default()).await.is_ok()
    }

    fn routed(&self, rule: &RoutingRule, key: &str) -> Outcome {
        let protocol = rule.protocol.map_or(self.protocol(), engine::Protocol::as_str);
        let host = rule.host.as_deref().unwrap_or(self.host);
        let location = format!("{protocol}://{host}/{}", utf8_percent_encode(&rule.new_key(key), PATH));
        let status = StatusCode::from_u16(rule.redirect_status()).unwrap_or(StatusCode::MOVED_PERMANENTLY);
        Outcome::Elsewhere { status, location }
    }

    async fn read(&self, engine: &Engine, bucket: &BucketName, key: &str) -> engine::Result<Shown> {
        let key = ObjectKey::new(key)?;
        let read = self.wanted();
        if *self.method == Method::HEAD {
            let view = engine.head_object(&self.caller, bucket, &key, &read).await?;
            return Ok(Shown { view, body: None });
        }
        let found = engine.get_object(&self.caller, bucket, &key, &read).await?;
        Ok(Shown { view: found.view, body: Some(found.body) })
    }

    /// Which bytes are asked for, and under which conditions; what cannot be read is as if it were not there.
    fn wanted(&self) -> ReadObject {
        let header = |name: HeaderName| text(self.headers, name.as_str());
        let tags = |name| header(name).and_then(|value| ETagCondition::parse_http_header(value.as_bytes()).ok());
        let time = |name| header(name).and_then(|value| Timestamp::parse(TimestampFormat::HttpDate, &value).ok());
        let range = header(RANGE).and_then(|range| dto::Range::parse(&range).ok());
        ReadObject {
            version_id: None,
            customer_key: None,
            selection: selection(range.as_ref(), None).ok().flatten(),
            conditions: read_conditions(
                tags(IF_MATCH).as_ref(),
                tags(IF_NONE_MATCH).as_ref(),
                time(IF_MODIFIED_SINCE).as_ref(),
                time(IF_UNMODIFIED_SINCE).as_ref(),
            ),
        }
    }

    /// The website's own page for errors of the visitor, or the one that every website has.
    async fn failed(
        &self,
        engine: &Engine,
        context: &RequestContext,
        (bucket, pages): (&BucketName, &Pages),
        failure: Failure,
    ) -> Response<Body> {
        let is_visitors = failure.status.is_client_error()
            && !matches!(failure.status, StatusCode::PRECONDITION_FAILED | StatusCode::RANGE_NOT_SATISFIABLE);
        let Some(error_key) = pages.error_key.as_deref().filter(|_| is_visitors) else {
            return failure.page(context, None);
        };
        let found = match ObjectKey::new(error_key) {
            Ok(key) => engine.get_object(&self.caller, bucket, &key, &ReadObject::default()).await,
            Err(error) => Err(error),
        };
        match found {
            Ok(found) => {
                let mut response = of_object(Shown { view: found.view, body: Some(found.body) });
                failure.decorate(&mut response);
                response
            }
            Err(error) => {
                let of_document = Failure { key: Some(error_key.to_owned()), ..Failure::new(from_engine(error)) };
                failure.page(context, Some(&of_document))
            }
        }
    }
}

/// An object may itself send its visitors elsewhere.
fn redirected(shown: Shown) -> Outcome {
    match &shown.view.info.headers.redirect_location {
        Some(location) => Outcome::Elsewhere { status: StatusCode::MOVED_PERMANENTLY, location: location.clone() },
        None => Outcome::Object(Box::new(shown)),
    }
}

fn of_redirect(status: StatusCode, location: &str) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    insert(response.headers_mut(), LOCATION, Some(location));
    response
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: Option<&str>) {
    if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
        headers.insert(name, value);
    }
}

fn of_object(shown: Shown) -> Response<Body> {
    let Shown { view, body } = shown;
    let body = body.map_or_else(Body::empty, |body| {
        let frames = futures::StreamExt::map(body, |item| item.map(http_body::Frame::data));
        Body::http_body_unsync(StreamBody::new(frames))
    });
    let mut response = Response::new(body);
    if view.partial {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    let (info, kept, headers) = (&view.info, &view.info.headers, response.headers_mut());
    insert(headers, CONTENT_TYPE, kept.content_type.as_deref().or(Some(CONTENT_TYPE_DEFAULT)));
    insert(headers, CACHE_CONTROL, kept.cache_control.as_deref());
    insert(headers, CONTENT_DISPOSITION, kept.content_disposition.as_deref());
    insert(headers, CONTENT_ENCODING, kept.content_encoding.as_deref());
    insert(headers, CONTENT_LANGUAGE, kept.content_language.as_deref());
    insert(headers, EXPIRES, kept.expires.as_deref());
    insert(headers, CONTENT_RANGE, content_range(&view).as_deref());
    insert(headers, ETAG, Some(&format!("\"{}\"", info.etag)));
    insert(headers, http::header::LAST_MODIFIED, Some(&http_date(info.modified_us)));
    insert(headers, HeaderName::from_static("x-amz-version-id"), shown_version(info).as_deref());
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(view.range.end - view.range.start));
    for (name, value) in &info.user_metadata {
        if let Ok(name) = HeaderName::try_from(format!("x-amz-meta-{name}")) {
            insert(headers, name, Some(value));
        }
    }
    response
}
