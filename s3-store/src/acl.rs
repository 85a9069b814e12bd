//! Access control lists: between the headers and documents of S3 and the engine's grants.

use engine::{
    CannedAcl, Engine, GivenAcl, GivenGrant, GivenGrantee, Grantee, NewAcl, ObjectName, Permission, Person, ShownAcl,
    ShownGrant,
};
use http::HeaderMap;
use s3s::dto::{
    self, AccessControlPolicy, GetBucketAclInput, GetBucketAclOutput, GetObjectAclInput, GetObjectAclOutput, Owner,
    PutBucketAclInput, PutBucketAclOutput, PutObjectAclInput, PutObjectAclOutput, Type,
};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use crate::error::from_engine;
use crate::headers::{bucket, caller, check_owner, key, text, version};

const ALL_USERS: &str = "http://acs.amazonaws.com/groups/global/AllUsers";
const AUTHENTICATED_USERS: &str = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers";
const LOG_DELIVERY: &str = "http://acs.amazonaws.com/groups/s3/LogDelivery";
/// Headers that grant a permission.
const GRANT_HEADERS: [(&str, Permission); 5] = [
    ("x-amz-grant-read", Permission::Read),
    ("x-amz-grant-write", Permission::Write),
    ("x-amz-grant-read-acp", Permission::ReadAcp),
    ("x-amz-grant-write-acp", Permission::WriteAcp),
    ("x-amz-grant-full-control", Permission::FullControl),
];

/// The list that the headers of a request give.
pub(crate) fn of_headers(headers: &HeaderMap) -> S3Result<GivenAcl> {
    let mut grants = Vec::new();
    for (name, permission) in GRANT_HEADERS {
        for value in headers.get_all(name) {
            let value = value.to_str().map_err(|_| bad_header())?;
            for grantee in value.split(',').map(str::trim).filter(|grantee| !grantee.is_empty()) {
                grants.push(GivenGrant { grantee: grantee_of_header(grantee)?, permission });
            }
        }
    }
    let canned = text(headers, "x-amz-acl").map(|name| canned(&name)).transpose()?;
    match (canned, grants.is_empty()) {
        (None, true) => Ok(GivenAcl::None),
        (Some(canned), true) => Ok(GivenAcl::Canned(canned)),
        (None, false) => Ok(GivenAcl::Grants(grants)),
        (Some(_), false) => {
            Err(s3_error!(InvalidRequest, "Specifying both Canned ACLs and Header Grants is not allowed"))
        }
    }
}

fn canned(name: &str) -> S3Result<CannedAcl> {
    // What this store keeps for EC2 is what it keeps for the owner.
    let name = if name == "aws-exec-read" { "private" } else { name };
    let found = CannedAcl::ALL.into_iter().find(|canned| canned.as_str() == name);
    found.ok_or_else(|| s3_error!(InvalidArgument, "The canned ACL {name:?} is not one of S3."))
}

fn bad_header() -> s3s::S3Error {
    s3_error!(InvalidArgument, "Argument format not recognized")
}

/// `id="..."`, `emailAddress="..."` or `uri="..."`.
fn grantee_of_header(text: &str) -> S3Result<GivenGrantee> {
    let (kind, value) = text.split_once('=').ok_or_else(bad_header)?;
    let value = value.trim().trim_matches('"').to_owned();
    match kind.trim().to_ascii_lowercase().as_str() {
        "id" => Ok(GivenGrantee::Id(value)),
        "emailaddress" => Ok(GivenGrantee::Email(value)),
        "uri" => group(&value).map(GivenGrantee::Group),
        _ => Err(bad_header()),
    }
}

fn group(uri: &str) -> S3Result<Grantee> {
    match uri {
        ALL_USERS => Ok(Grantee::AllUsers),
        AUTHENTICATED_USERS => Ok(Grantee::AuthenticatedUsers),
        LOG_DELIVERY => Ok(Grantee::LogDelivery),
        _ => Err(s3_error!(InvalidArgument, "Invalid group uri")),
    }
}

/// The list that a request sets, by headers or by a document.
fn given(headers: &HeaderMap, document: Option<AccessControlPolicy>) -> S3Result<NewAcl> {
    let by_headers = of_headers(headers)?;
    let Some(AccessControlPolicy { grants, owner }) = document else {
        return match by_headers {
            GivenAcl::None => Err(s3_error!(
                MissingSecurityHeader,
                "Your request was missing a required header: x-amz-acl, x-amz-grant-* or a document"
            )),
            acl => Ok(NewAcl { acl, owner: None }),
        };
    };
    if by_headers != GivenAcl::None {
        return Err(s3_error!(UnexpectedContent, "This request does not support content"));
    }
    let grants = grants.ok_or_else(|| s3_error!(MalformedACLError))?;
    let grants = grants.into_iter().map(given_grant).collect::<S3Result<_>>()?;
    Ok(NewAcl { acl: GivenAcl::Grants(grants), owner: owner.and_then(|owner| owner.id) })
}

fn given_grant(grant: dto::Grant) -> S3Result<GivenGrant> {
    let malformed = || s3_error!(MalformedACLError);
    let permission = grant.permission.ok_or_else(malformed)?;
    let permission = Permission::ALL.into_iter().find(|known| known.as_str() == permission.as_str());
    let grantee = grant.grantee.ok_or_else(malformed)?;
    let grantee = match (grantee.type_.as_str(), grantee.id, grantee.email_address, grantee.uri) {
        (Type::CANONICAL_USER, Some(id), _, _) => GivenGrantee::Id(id),
        (Type::AMAZON_CUSTOMER_BY_EMAIL, _, Some(email), _) => GivenGrantee::Email(email),
        (Type::GROUP, _, _, Some(uri)) => GivenGrantee::Group(group(&uri)?),
        _ => return Err(malformed()),
    };
    Ok(GivenGrant { grantee, permission: permission.ok_or_else(malformed)? })
}

/// A person as S3 shows it.
pub(crate) fn owner(person: &Person) -> Owner {
    let name = Some(&person.display_name).filter(|name| !name.is_empty());
    Owner { id: Some(person.canonical_id.to_string()), display_name: name.cloned() }
}

fn shown(acl: ShownAcl) -> (Owner, Vec<dto::Grant>) {
    (owner(&acl.owner), acl.grants.into_iter().map(shown_grant).collect())
}

fn shown_grant(grant: ShownGrant) -> dto::Grant {
    let of_group = |uri: &str| dto::Grantee {
        display_name: None,
        email_address: None,
        id: None,
        type_: Type::from_static(Type::GROUP),
        uri: Some(uri.to_owned()),
    };
    let grantee = match grant.grantee {
        Grantee::User(id) => dto::Grantee {
            display_name: grant.display_name.filter(|name| !name.is_empty()),
            email_address: None,
            id: Some(id.to_string()),
            type_: Type::from_static(Type::CANONICAL_USER),
            uri: None,
        },
        Grantee::AllUsers => of_group(ALL_USERS),
        Grantee::AuthenticatedUsers => of_group(AUTHENTICATED_USERS),
        Grantee::LogDelivery => of_group(LOG_DELIVERY),
    };
    let permission = dto::Permission::from_static(grant.permission.as_str());
    dto::Grant { grantee: Some(grantee), permission: Some(permission) }
}

pub(crate) async fn get_of_bucket(
    engine: &Engine,
    request: S3Request<GetBucketAclInput>,
) -> S3Result<S3Response<GetBucketAclOutput>> {
    let input = &request.input;
    let name = bucket(&input.bucket)?;
    check_owner(engine, &name, input.expected_bucket_owner.as_deref()).await?;
    let (owner, grants) = shown(engine.bucket_acl(&caller(&request), &name).await.map_err(from_engine)?);
    Ok(S3Response::new(GetBucketAclOutput { grants: Some(grants), owner: Some(owner) }))
}

pub(crate) async fn put_of_bucket(
    engine: &Engine,
    request: S3Request<PutBucketAclInput>,
) -> S3Result<S3Response<PutBucketAclOutput>> {
    let who = caller(&request);
    let name = bucket(&request.input.bucket)?;
    check_owner(engine, &name, request.input.expected_bucket_owner.as_deref()).await?;
    let new = given(&request.headers, request.input.access_control_policy)?;
    engine.set_bucket_acl(&who, &name, new).await.map_err(from_engine)?;
    Ok(S3Response::new(PutBucketAclOutput::default()))
}

pub(crate) async fn get_of_object(
    engine: &Engine,
    request: S3Request<GetObjectAclInput>,
) -> S3Result<S3Response<GetObjectAclOutput>> {
    let input = &request.input;
    let object = object(&input.bucket, &input.key, input.version_id.as_deref())?;
    check_owner(engine, &object.bucket, input.expected_bucket_owner.as_deref()).await?;
    let (owner, grants) = shown(engine.object_acl(&caller(&request), &object).await.map_err(from_engine)?);
    let output = GetObjectAclOutput { grants: Some(grants), owner: Some(owner), ..GetObjectAclOutput::default() };
    Ok(S3Response::new(output))
}

pub(crate) async fn put_of_object(
    engine: &Engine,
    request: S3Request<PutObjectAclInput>,
) -> S3Result<S3Response<PutObjectAclOutput>> {
    let who = caller(&request);
    let input = request.input;
    let object = object(&input.bucket, &input.key, input.version_id.as_deref())?;
    check_owner(engine, &object.bucket, input.expected_bucket_owner.as_deref()).await?;
    let new = given(&request.headers, input.access_control_policy)?;
    engine.set_object_acl(&who, &object, new).await.map_err(from_engine)?;
    Ok(S3Response::new(PutObjectAclOutput::default()))
}

/// The object that a request names.
pub(crate) fn object(bucket_name: &str, object_key: &str, version_id: Option<&str>) -> S3Result<ObjectName> {
    Ok(ObjectName { bucket: bucket(bucket_name)?, key: key(object_key)?, version_id: version(version_id)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().expect("name"), value.parse().expect("value"))).collect()
    }

    #[test]
    fn headers_give_one_kind_of_list() {
        assert_eq!(of_headers(&headers(&[])).expect("none"), GivenAcl::None);
        let canned = of_headers(&headers(&[("x-amz-acl", "public-read")])).expect("a list");
        assert_eq!(canned, GivenAcl::Canned(CannedAcl::PublicRead));
        let granted = of_headers(&headers(&[
            ("x-amz-grant-read", "id=\"abc\", emailAddress=a@b.lan"),
            ("x-amz-grant-write", "uri=http://acs.amazonaws.com/groups/global/AllUsers"),
        ]));
        let grant = |grantee, permission| GivenGrant { grantee, permission };
        let expected = vec![
            grant(GivenGrantee::Id("abc".to_owned()), Permission::Read),
            grant(GivenGrantee::Email("a@b.lan".to_owned()), Permission::Read),
            grant(GivenGrantee::Group(Grantee::AllUsers), Permission::Write),
        ];
        assert_eq!(granted.expect("a list"), GivenAcl::Grants(expected));
        for bad in [
            &[("x-amz-acl", "public")][..],
            &[("x-amz-grant-read", "abc")],
            &[("x-amz-grant-read", "uri=http://elsewhere/")],
            &[("x-amz-acl", "private"), ("x-amz-grant-read", "id=abc")],
        ] {
            assert!(of_headers(&headers(bad)).is_err(), "{bad:?}");
        }
    }
}
