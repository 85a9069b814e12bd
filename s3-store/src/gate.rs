//! What the protocol layer asks while it checks a request: the secret of a key, and whether the operation may go on.

use engine::{BucketName, Caller, Engine};
use http::Method;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::path::S3Path;
use s3s::{S3Result, s3_error};
use secrecy::ExposeSecret;

use crate::context::RequestContext;
use crate::error::{from_engine, not_implemented};
use crate::operations::{self, OfferedOperation};

/// Gives the protocol layer the secrets it checks signatures with.
pub(crate) struct Secrets(pub(crate) Engine);

#[async_trait::async_trait]
impl S3Auth for Secrets {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        // Who it is, and whether a token is with it, was looked at in front; the gate lets nobody through who was not seen there.
        let secret = self.0.key_secret(access_key).await.map_err(from_engine)?;
        let secret = secret.ok_or_else(|| s3_error!(InvalidAccessKeyId))?;
        Ok(SecretKey::from(secret.expose_secret()))
    }
}

/// Turns a checked signature into a [`Caller`], and lets only offered operations through. What the caller may do, the engine decides.
pub(crate) struct Gate(pub(crate) Engine);

impl Gate {
    /// Refuses what nobody signed before its body is read, where nothing can be open to everybody.
    async fn must_be_open(&self, path: &S3Path, operation: &OfferedOperation, method: &Method) -> S3Result {
        if matches!(*method, Method::GET | Method::HEAD) || operation.name == "PutObjectAcl" {
            return Ok(());
        }
        let name = path.get_bucket_name().filter(|_| operation.name != "CreateBucket");
        let is_open = match name.and_then(|name| BucketName::new(name).ok()) {
            Some(name) => self.0.is_open_to_some(&name).await.map_err(from_engine)?,
            None => false,
        };
        if is_open { Ok(()) } else { Err(s3_error!(AccessDenied)) }
    }
}

#[async_trait::async_trait]
impl S3Access for Gate {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        let name = cx.s3_op().name().to_owned();
        let operation = operations::find(&name).ok_or_else(|| not_implemented(&name))?;
        let proven = cx.credentials().map(|credentials| credentials.access_key.clone());
        let stray = operations::stray_subresource(&name, cx.uri().query().unwrap_or_default());
        let context = cx.extensions_mut().get::<RequestContext>().cloned();
        let context = context.ok_or_else(|| s3_error!(InternalError))?;
        context.set_operation(operation.name);
        if let Some(stray) = stray {
            return Err(s3_error!(MethodNotAllowed, "The sub-resource {stray:?} is not allowed here."));
        }
        let caller = match (proven, context.claim()) {
            (None, None) => {
                self.must_be_open(cx.s3_path(), operation, cx.method()).await?;
                Caller::Anonymous(context.facts())
            }
            (Some(access_key), Some(claim)) if access_key == claim.access_key => claim.login.caller(context.facts()),
            // The two readings of the same request differ, so neither is believed.
            (Some(_) | None, Some(_)) | (Some(_), None) => return Err(s3_error!(AccessDenied)),
        };
        context.set_caller(&caller);
        cx.extensions_mut().insert(caller);
        Ok(())
    }
}
