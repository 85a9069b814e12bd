//! The policies of users, groups and roles: their own, and those that are attached.

use engine::IamHolder;

use super::answer::{document, page, text};
use super::dispatch::{Answer, Asked, done, name_of};
use super::error::Failure;

pub(super) async fn put(asked: &Asked<'_>, holder: IamHolder) -> Answer {
    let (name, policy) = (asked.params.need(name_of(holder))?, asked.params.need("PolicyName")?);
    let document = asked.params.need("PolicyDocument")?;
    done(asked.engine.put_iam_policy(asked.caller, holder, name, policy, document).await)
}

pub(super) async fn get(asked: &Asked<'_>, holder: IamHolder) -> Answer {
    let (name, policy) = (asked.params.need(name_of(holder))?, asked.params.need("PolicyName")?);
    let found = asked.engine.iam_policy_of(asked.caller, holder, name, policy).await.map_err(Failure::of)?;
    Ok(Some(text(name_of(holder), name) + &text("PolicyName", policy) + &document("PolicyDocument", &found)))
}

pub(super) async fn list(asked: &Asked<'_>, holder: IamHolder) -> Answer {
    let (name, wanted) = (asked.params.need(name_of(holder))?, asked.params.page()?);
    let names = asked.engine.list_iam_policies_of(asked.caller, holder, name, &wanted).await.map_err(Failure::of)?;
    Ok(Some(page("PolicyNames", &names, |name| super::answer::escape(name))))
}

pub(super) async fn delete(asked: &Asked<'_>, holder: IamHolder) -> Answer {
    let (name, policy) = (asked.params.need(name_of(holder))?, asked.params.need("PolicyName")?);
    done(asked.engine.delete_iam_policy_of(asked.caller, holder, name, policy).await)
}

pub(super) async fn attach(asked: &Asked<'_>, holder: IamHolder) -> Answer {
    let (name, arn) = (asked.params.need(name_of(holder))?, asked.params.need("PolicyArn")?);
    done(asked.engine.attach_iam_policy(asked.caller, holder, name, arn).await)
}

pub(super) async fn detach(asked: &Asked<'_>, holder: IamHolder) -> Answer {
    let (name, arn) = (asked.params.need(name_of(holder))?, asked.params.need("PolicyArn")?);
    done(asked.engine.detach_iam_policy(asked.caller, holder, name, arn).await)
}

pub(super) async fn attached(asked: &Asked<'_>, holder: IamHolder) -> Answer {
    let (name, wanted) = (asked.params.need(name_of(holder))?, asked.params.page()?);
    let found = asked.engine.list_attached_iam_policies(asked.caller, holder, name, &wanted).await;
    let found = found.map_err(Failure::of)?;
    Ok(Some(page("AttachedPolicies", &found, |(name, arn)| text("PolicyName", name) + &text("PolicyArn", arn))))
}
