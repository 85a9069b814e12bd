//! Who is told of changes in a bucket: between the document and the engine's rules.
//!
//! A target is one that the operator configured. Its name is the last field of an ARN of AWS's form, `arn:aws:sqs:<region>:<account>:<name>`
//! (`sns` for topics), or the last but one of MinIO's, `arn:minio:sqs:<region>:<name>:<kind>`.

use engine::{Engine, EventFilter, NotificationRule, Notifications, ShownAs};
use s3s::dto::{
    self, FilterRule, FilterRuleName, GetBucketNotificationConfigurationInput,
    GetBucketNotificationConfigurationOutput, NotificationConfigurationFilter, PutBucketNotificationConfigurationInput,
    PutBucketNotificationConfigurationOutput, QueueConfiguration, S3KeyFilter, TopicConfiguration,
};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use crate::error::{from_engine, not_implemented};
use crate::headers::{bucket, caller, check_owner};

pub(crate) async fn get(
    engine: &Engine,
    request: S3Request<GetBucketNotificationConfigurationInput>,
) -> S3Result<S3Response<GetBucketNotificationConfigurationOutput>> {
    let name = bucket(&request.input.bucket)?;
    check_owner(engine, &name, request.input.expected_bucket_owner.as_deref()).await?;
    let found = engine.bucket_setting::<Notifications>(&caller(&request), &name).await.map_err(from_engine)?;
    let (mut queues, mut topics) = (Vec::new(), Vec::new());
    for rule in found.iter().flat_map(Notifications::rules) {
        let (events, filter, id) = (shown_events(rule), shown_filter(rule), Some(rule.id.clone()));
        match rule.shown_as.clone() {
            ShownAs::Queue(queue_arn) => queues.push(QueueConfiguration { events, filter, id, queue_arn }),
            ShownAs::Topic(topic_arn) => topics.push(TopicConfiguration { events, filter, id, topic_arn }),
        }
    }
    Ok(S3Response::new(GetBucketNotificationConfigurationOutput {
        queue_configurations: Some(queues).filter(|queues| !queues.is_empty()),
        topic_configurations: Some(topics).filter(|topics| !topics.is_empty()),
        ..GetBucketNotificationConfigurationOutput::default()
    }))
}

pub(crate) async fn put(
    engine: &Engine,
    request: S3Request<PutBucketNotificationConfigurationInput>,
) -> S3Result<S3Response<PutBucketNotificationConfigurationOutput>> {
    let (who, name) = (caller(&request), bucket(&request.input.bucket)?);
    check_owner(engine, &name, request.input.expected_bucket_owner.as_deref()).await?;
    let wanted = given(request.input.notification_configuration)?;
    engine.set_notifications(&who, &name, wanted).await.map_err(from_engine)?;
    Ok(S3Response::new(PutBucketNotificationConfigurationOutput::default()))
}

fn given(document: dto::NotificationConfiguration) -> S3Result<Notifications> {
    if document.lambda_function_configurations.is_some_and(|functions| !functions.is_empty()) {
        return Err(not_implemented("Telling functions of events"));
    }
    if document.event_bridge_configuration.is_some() {
        return Err(not_implemented("Telling EventBridge of events"));
    }
    let queues = document.queue_configurations.unwrap_or_default().into_iter().map(|given| {
        let QueueConfiguration { events, filter, id, queue_arn } = given;
        rule(id, &queue_arn, "sqs", ShownAs::Queue(queue_arn.clone()), &events, filter)
    });
    let topics = document.topic_configurations.unwrap_or_default().into_iter().map(|given| {
        let TopicConfiguration { events, filter, id, topic_arn } = given;
        rule(id, &topic_arn, "sns", ShownAs::Topic(topic_arn.clone()), &events, filter)
    });
    let rules = queues.chain(topics).collect::<S3Result<_>>()?;
    Notifications::new(rules).map_err(from_engine)
}

fn rule(
    id: Option<String>,
    arn: &str,
    service: &str,
    shown_as: ShownAs,
    events: &[dto::Event],
    filter: Option<NotificationConfigurationFilter>,
) -> S3Result<NotificationRule> {
    let target = target_of(arn, service).ok_or_else(|| s3_error!(InvalidArgument, "The ARN could not be parsed."))?;
    let events = events.iter().map(|event| given_event(event.as_ref())).collect::<S3Result<_>>()?;
    let (prefix, suffix) = given_filter(filter)?;
    let (id, target) = (id.unwrap_or_default(), target.to_owned());
    Ok(NotificationRule { id, target, shown_as, events, prefix, suffix })
}

/// The name of the target that an ARN stands for.
fn target_of<'a>(arn: &'a str, service: &str) -> Option<&'a str> {
    let fields: Vec<&str> = arn.split(':').collect();
    let name = match fields.as_slice() {
        ["arn", "minio", "sqs", _, name, _] => name,
        ["arn", "aws", given, _, _, name] if *given == service => name,
        _ => return None,
    };
    Some(*name).filter(|name| !name.is_empty())
}

fn given_event(name: &str) -> S3Result<EventFilter> {
    let found = name.strip_prefix("s3:").and_then(EventFilter::parse);
    found.ok_or_else(|| s3_error!(InvalidArgument, "The event '{name}' is not supported for notifications"))
}

fn given_filter(filter: Option<NotificationConfigurationFilter>) -> S3Result<(String, String)> {
    let rules = filter.and_then(|filter| filter.key).and_then(|key| key.filter_rules).unwrap_or_default();
    let (mut prefix, mut suffix) = (None, None);
    for FilterRule { name, value } in rules {
        let name = name.map(|name| name.as_str().to_ascii_lowercase());
        let place = match name.as_deref() {
            Some(FilterRuleName::PREFIX) => &mut prefix,
            Some(FilterRuleName::SUFFIX) => &mut suffix,
            Some(_) | None => {
                return Err(s3_error!(InvalidArgument, "filter rule name must be either prefix or suffix"));
            }
        };
        if place.replace(value.unwrap_or_default()).is_some() {
            let why = "Cannot specify more than one prefix rule and one suffix rule in a filter.";
            return Err(s3_error!(InvalidArgument, "{why}"));
        }
    }
    Ok((prefix.unwrap_or_default(), suffix.unwrap_or_default()))
}

fn shown_events(rule: &NotificationRule) -> Vec<dto::Event> {
    rule.events.iter().map(|event| dto::Event::from(format!("s3:{}", event.name()))).collect()
}

fn shown_filter(rule: &NotificationRule) -> Option<NotificationConfigurationFilter> {
    let part = |name: &'static str, value: &str| {
        let shown = FilterRule { name: Some(FilterRuleName::from_static(name)), value: Some(value.to_owned()) };
        (!value.is_empty()).then_some(shown)
    };
    let parts = [part(FilterRuleName::PREFIX, &rule.prefix), part(FilterRuleName::SUFFIX, &rule.suffix)];
    let rules: Vec<FilterRule> = parts.into_iter().flatten().collect();
    let key = S3KeyFilter { filter_rules: Some(rules).filter(|rules| !rules.is_empty()) };
    key.filter_rules.is_some().then_some(NotificationConfigurationFilter { key: Some(key) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_found_in_arns() {
        for (arn, target) in [
            ("arn:aws:sqs:us-east-1::hook", Some("hook")),
            ("arn:aws:sqs:us-east-1:123456789012:hook", Some("hook")),
            ("arn:minio:sqs::hook:webhook", Some("hook")),
            ("arn:aws:sns:us-east-1::hook", None),
            ("arn:aws:sqs:us-east-1::", None),
            ("arn:aws:sqs:us-east-1:hook", None),
            ("hook", None),
        ] {
            assert_eq!(target_of(arn, "sqs"), target, "{arn}");
        }
    }
}
