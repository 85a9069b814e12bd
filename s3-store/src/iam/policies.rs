//! Policies that stand for themselves.

use engine::{IamEntity, IamHolder, IamKind, IamListing, IamPolicy, IamPolicyVersion, NewIamEntity, PolicyScope};

use super::answer::{document, goes_on, list as members, page, text, time, wrap};
use super::dispatch::{Answer, Asked, done};
use super::error::Failure;

fn shown(policy: &IamPolicy) -> String {
    let description =
        if policy.description.is_empty() { String::new() } else { text("Description", &policy.description) };
    text("PolicyName", &policy.name)
        + &text("PolicyId", &policy.id)
        + &text("Arn", &policy.arn)
        + &text("Path", &policy.path)
        + &text("DefaultVersionId", &format!("v{}", policy.default_version))
        + &text("AttachmentCount", &policy.attachment_count.to_string())
        + &text("PermissionsBoundaryUsageCount", "0")
        + &text("IsAttachable", "true")
        + &description
        + &time("CreateDate", policy.created_us)
        + &time("UpdateDate", policy.changed_us)
}

fn shown_version(version: &IamPolicyVersion, with_document: bool) -> String {
    let document = if with_document { document("Document", &version.document) } else { String::new() };
    document
        + &text("VersionId", &format!("v{}", version.version))
        + &text("IsDefaultVersion", if version.is_default { "true" } else { "false" })
        + &time("CreateDate", version.created_us)
}

pub(super) async fn create(asked: &Asked<'_>) -> Answer {
    let new = NewIamEntity {
        name: asked.params.need("PolicyName")?.to_owned(),
        path: asked.params.opt("Path").unwrap_or_default().to_owned(),
        description: asked.params.opt("Description").unwrap_or_default().to_owned(),
        document: asked.params.need("PolicyDocument")?.to_owned(),
        session_seconds_max: None,
    };
    let made = asked.engine.create_iam_entity(asked.caller, IamKind::Policy, new).await.map_err(Failure::of)?;
    let policy = IamPolicy {
        arn: made.arn(),
        description: made.description().to_owned(),
        id: made.id,
        name: made.name,
        path: made.path,
        default_version: 1,
        attachment_count: 0,
        created_us: made.created_us,
        changed_us: made.created_us,
    };
    Ok(Some(wrap("Policy", &shown(&policy))))
}

pub(super) async fn get(asked: &Asked<'_>) -> Answer {
    let policy = asked.engine.iam_policy(asked.caller, asked.params.need("PolicyArn")?).await.map_err(Failure::of)?;
    Ok(Some(wrap("Policy", &shown(&policy))))
}

pub(super) async fn list(asked: &Asked<'_>) -> Answer {
    let scope = match asked.params.opt("Scope") {
        None | Some("All") => PolicyScope::All,
        Some("AWS") => PolicyScope::Aws,
        Some("Local") => PolicyScope::Local,
        Some(_) => return Err(Failure::validation("Scope must be All, AWS or Local.")),
    };
    let (only_attached, wanted) = (asked.params.flag("OnlyAttached")?, asked.params.page()?);
    let found = asked.engine.list_iam_policies(asked.caller, scope, only_attached, &wanted).await;
    Ok(Some(page("Policies", &found.map_err(Failure::of)?, shown)))
}

pub(super) async fn delete(asked: &Asked<'_>) -> Answer {
    done(asked.engine.delete_iam_policy(asked.caller, asked.params.need("PolicyArn")?).await)
}

pub(super) async fn holders(asked: &Asked<'_>) -> Answer {
    let holder = match asked.params.opt("EntityFilter") {
        None => None,
        Some("User") => Some(IamHolder::User),
        Some("Group") => Some(IamHolder::Group),
        Some("Role") => Some(IamHolder::Role),
        Some(_) => return Err(Failure::validation("EntityFilter must be User, Group or Role.")),
    };
    if !matches!(asked.params.opt("PolicyUsageFilter"), None | Some("PermissionsPolicy")) {
        return Err(Failure::validation("PolicyUsageFilter must be PermissionsPolicy: there are no boundaries."));
    }
    let (arn, wanted) = (asked.params.need("PolicyArn")?, asked.params.page()?);
    let found = asked.engine.list_iam_policy_holders(asked.caller, arn, holder, &wanted).await.map_err(Failure::of)?;
    Ok(Some(shown_holders(&found)))
}

/// Three lists of one page.
fn shown_holders(page: &IamListing<IamEntity>) -> String {
    let of_kind = |kind: IamKind, list: &str, name: &str| {
        let of_kind: Vec<&IamEntity> = page.items.iter().filter(|one| one.kind == kind).collect();
        members(list, &of_kind, |one| text(&format!("{name}Name"), &one.name) + &text(&format!("{name}Id"), &one.id))
    };
    of_kind(IamKind::Group, "PolicyGroups", "Group")
        + &of_kind(IamKind::User, "PolicyUsers", "User")
        + &of_kind(IamKind::Role, "PolicyRoles", "Role")
        + &goes_on(page)
}

pub(super) async fn create_version(asked: &Asked<'_>) -> Answer {
    let (arn, text) = (asked.params.need("PolicyArn")?, asked.params.need("PolicyDocument")?);
    let default = asked.params.flag("SetAsDefault")?;
    let made = asked.engine.create_iam_policy_version(asked.caller, arn, text, default).await.map_err(Failure::of)?;
    Ok(Some(wrap("PolicyVersion", &shown_version(&made, false))))
}

pub(super) async fn version(asked: &Asked<'_>) -> Answer {
    let (arn, number) = (asked.params.need("PolicyArn")?, number(asked)?);
    let found = asked.engine.iam_policy_version(asked.caller, arn, number).await.map_err(Failure::of)?;
    Ok(Some(wrap("PolicyVersion", &shown_version(&found, true))))
}

pub(super) async fn versions(asked: &Asked<'_>) -> Answer {
    let found = asked.engine.iam_policy_versions(asked.caller, asked.params.need("PolicyArn")?).await;
    let found = found.map_err(Failure::of)?;
    Ok(Some(members("Versions", &found, |one| shown_version(one, false)) + &text("IsTruncated", "false")))
}

pub(super) async fn set_default(asked: &Asked<'_>) -> Answer {
    let (arn, number) = (asked.params.need("PolicyArn")?, number(asked)?);
    done(asked.engine.set_default_iam_policy_version(asked.caller, arn, number).await)
}

pub(super) async fn delete_version(asked: &Asked<'_>) -> Answer {
    let (arn, number) = (asked.params.need("PolicyArn")?, number(asked)?);
    done(asked.engine.delete_iam_policy_version(asked.caller, arn, number).await)
}

/// The number in `v3`.
fn number(asked: &Asked<'_>) -> Result<u32, Failure> {
    let named = asked.params.need("VersionId")?;
    let number = named.strip_prefix('v').and_then(|number| number.parse().ok());
    number.ok_or_else(|| Failure::validation("VersionId must be like v1."))
}
