//! Websites of buckets: how they are described here, and beneath how they are shown.

mod page;
mod visit;

use engine::{Engine, NewKey, Pages, Protocol, RoutingRule, Website};
use s3s::dto::{
    self, Condition, DeleteBucketWebsiteInput, DeleteBucketWebsiteOutput, ErrorDocument, GetBucketWebsiteInput,
    GetBucketWebsiteOutput, IndexDocument, PutBucketWebsiteInput, PutBucketWebsiteOutput, Redirect,
    RedirectAllRequestsTo, WebsiteConfiguration,
};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use crate::error::{from_engine, none_such};
use crate::headers::{bucket, caller, check_owner};

pub(crate) use visit::{Visit, serve};

pub(crate) async fn get(
    engine: &Engine,
    request: S3Request<GetBucketWebsiteInput>,
) -> S3Result<S3Response<GetBucketWebsiteOutput>> {
    let name = bucket(&request.input.bucket)?;
    check_owner(engine, &name, request.input.expected_bucket_owner.as_deref()).await?;
    let found = engine.bucket_setting::<Website>(&caller(&request), &name).await.map_err(from_engine)?;
    Ok(S3Response::new(shown(found.ok_or_else(no_website)?)))
}

/// The answer where a bucket is no website.
fn no_website() -> s3s::S3Error {
    none_such("NoSuchWebsiteConfiguration", "The specified bucket does not have a website configuration")
}

pub(crate) async fn put(
    engine: &Engine,
    request: S3Request<PutBucketWebsiteInput>,
) -> S3Result<S3Response<PutBucketWebsiteOutput>> {
    let (who, name) = (caller(&request), bucket(&request.input.bucket)?);
    check_owner(engine, &name, request.input.expected_bucket_owner.as_deref()).await?;
    let website = given(request.input.website_configuration)?.checked().map_err(from_engine)?;
    engine.set_bucket_setting(&who, &name, Some(&website)).await.map_err(from_engine)?;
    Ok(S3Response::new(PutBucketWebsiteOutput::default()))
}

pub(crate) async fn delete(
    engine: &Engine,
    request: S3Request<DeleteBucketWebsiteInput>,
) -> S3Result<S3Response<DeleteBucketWebsiteOutput>> {
    let name = bucket(&request.input.bucket)?;
    check_owner(engine, &name, request.input.expected_bucket_owner.as_deref()).await?;
    engine.delete_website(&caller(&request), &name).await.map_err(from_engine)?;
    Ok(S3Response::new(DeleteBucketWebsiteOutput::default()))
}

fn given(document: WebsiteConfiguration) -> S3Result<Website> {
    let WebsiteConfiguration { error_document, index_document, redirect_all_requests_to, routing_rules } = document;
    if let Some(RedirectAllRequestsTo { host_name, protocol }) = redirect_all_requests_to {
        if error_document.is_some() || index_document.is_some() || routing_rules.is_some() {
            return Err(s3_error!(
                InvalidRequest,
                "RedirectAllRequestsTo cannot be provided in conjunction with other Routing Rules."
            ));
        }
        return Ok(Website::Elsewhere {
            host: host_name,
            protocol: protocol.as_ref().map(given_protocol).transpose()?,
        });
    }
    let index = index_document.ok_or_else(|| {
        let why = "A value for IndexDocument Suffix must be provided if RedirectAllRequestsTo is empty";
        s3_error!(InvalidArgument, "{why}")
    })?;
    let rules = routing_rules.unwrap_or_default().into_iter().map(given_rule).collect::<S3Result<_>>()?;
    Ok(Website::Pages(Pages { index_suffix: index.suffix, error_key: error_document.map(|error| error.key), rules }))
}

fn given_protocol(protocol: &dto::Protocol) -> S3Result<Protocol> {
    let found = Protocol::ALL.into_iter().find(|known| known.as_str() == protocol.as_str());
    found.ok_or_else(|| s3_error!(InvalidRequest, "Invalid protocol, protocol can be http or https."))
}

fn given_rule(rule: dto::RoutingRule) -> S3Result<RoutingRule> {
    let (condition, redirect) = (rule.condition, rule.redirect);
    let status = |code: Option<String>, what: &str| {
        let unreadable = || s3_error!(InvalidRequest, "The provided HTTP {what} code is not valid.");
        code.map(|code| code.parse::<u16>().map_err(|_| unreadable())).transpose()
    };
    let (error_status, prefix) = condition
        .map_or((None, None), |condition| (condition.http_error_code_returned_equals, condition.key_prefix_equals));
    let key = match (redirect.replace_key_prefix_with, redirect.replace_key_with) {
        (None, None) => NewKey::Same,
        (Some(prefix), None) => NewKey::Prefix(prefix),
        (None, Some(whole)) => NewKey::Whole(whole),
        (Some(_), Some(_)) => {
            return Err(s3_error!(InvalidRequest, "You can only define ReplaceKeyPrefix or ReplaceKey but not both."));
        }
    };
    Ok(RoutingRule {
        prefix,
        error_status: status(error_status, "error")?,
        host: redirect.host_name,
        protocol: redirect.protocol.as_ref().map(given_protocol).transpose()?,
        status: status(redirect.http_redirect_code, "redirect")?,
        key,
    })
}

fn shown(website: Website) -> GetBucketWebsiteOutput {
    match website {
        Website::Elsewhere { host, protocol } => GetBucketWebsiteOutput {
            redirect_all_requests_to: Some(RedirectAllRequestsTo {
                host_name: host,
                protocol: protocol.map(shown_protocol),
            }),
            ..GetBucketWebsiteOutput::default()
        },
        Website::Pages(Pages { index_suffix, error_key, rules }) => GetBucketWebsiteOutput {
            error_document: error_key.map(|key| ErrorDocument { key }),
            index_document: Some(IndexDocument { suffix: index_suffix }),
            redirect_all_requests_to: None,
            routing_rules: Some(rules.into_iter().map(shown_rule).collect::<Vec<_>>())
                .filter(|rules| !rules.is_empty()),
        },
    }
}

fn shown_protocol(protocol: Protocol) -> dto::Protocol {
    dto::Protocol::from_static(protocol.as_str())
}

fn shown_rule(rule: RoutingRule) -> dto::RoutingRule {
    let RoutingRule { prefix, error_status, host, protocol, status, key } = rule;
    let (replace_key_prefix_with, replace_key_with) = match key {
        NewKey::Same => (None, None),
        NewKey::Prefix(prefix) => (Some(prefix), None),
        NewKey::Whole(whole) => (None, Some(whole)),
    };
    let condition = Condition {
        http_error_code_returned_equals: error_status.map(|status| status.to_string()),
        key_prefix_equals: prefix,
    };
    dto::RoutingRule {
        condition: Some(condition).filter(|condition| *condition != Condition::default()),
        redirect: Redirect {
            host_name: host,
            http_redirect_code: status.map(|status| status.to_string()),
            protocol: protocol.map(shown_protocol),
            replace_key_prefix_with,
            replace_key_with,
        },
    }
}
