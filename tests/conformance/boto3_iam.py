"""boto3 makes users, groups, roles and policies of an account's own, and meets S3 as each of them."""

import json
import os

import boto3
from botocore.config import Config
from s3 import ACCESS_KEY, CA, ENDPOINT, SECRET_KEY, refused

IAM = os.environ["IAM_ENDPOINT"]


def service(name, key=None, endpoint=IAM):
    """A client of a service: of the account's root, or with the keys of an answer."""
    key = key or {"AccessKeyId": ACCESS_KEY, "SecretAccessKey": SECRET_KEY}
    return boto3.client(
        name,
        endpoint_url=endpoint,
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
        aws_session_token=key.get("SessionToken"),
        region_name="us-east-1",
        verify=CA or True,
        config=Config(retries={"max_attempts": 0}),
    )


def s3(key=None):
    return service("s3", key, ENDPOINT)


def allow(action, resource="*", **more):
    statement = {"Effect": "Allow", "Action": action, "Resource": resource, **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def trust(principal):
    statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": principal}}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


iam = service("iam")
bucket = "iam-bucket"


def users():
    s3().create_bucket(Bucket=bucket)
    s3().put_object(Bucket=bucket, Key="shared", Body=b"x")
    user = iam.create_user(UserName="Ada", Path="/team/")["User"]
    assert user["Arn"].endswith(":user/team/Ada"), user
    assert iam.get_user(UserName="ada")["User"] == user
    refused("EntityAlreadyExists", iam.create_user, UserName="ADA")
    key = iam.create_access_key(UserName="Ada")["AccessKey"]
    refused("AccessDenied", s3(key).list_buckets)
    iam.put_user_policy(UserName="Ada", PolicyName="own", PolicyDocument=allow("s3:PutObject", f"arn:aws:s3:::{bucket}/${{aws:username}}/*"))
    s3(key).put_object(Bucket=bucket, Key="Ada/a", Body=b"y")
    refused("AccessDenied", s3(key).put_object, Bucket=bucket, Key="Bob/a", Body=b"y")
    refused("AccessDenied", s3(key).get_object, Bucket=bucket, Key="Ada/a")
    document = iam.get_user_policy(UserName="Ada", PolicyName="own")["PolicyDocument"]
    assert document["Statement"][0]["Action"] == "s3:PutObject", document
    refused("AccessDenied", service("iam", key).list_users)
    refused("DeleteConflict", iam.delete_user, UserName="Ada")
    iam.update_access_key(UserName="Ada", AccessKeyId=key["AccessKeyId"], Status="Inactive")
    refused("InvalidAccessKeyId", s3(key).list_buckets)
    refused("InvalidClientTokenId", service("sts", key).get_caller_identity)
    iam.update_access_key(UserName="Ada", AccessKeyId=key["AccessKeyId"], Status="Active")
    return key


def groups(key):
    iam.create_group(GroupName="Readers")
    iam.add_user_to_group(GroupName="readers", UserName="ada")
    iam.attach_group_policy(GroupName="Readers", PolicyArn="arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")
    assert s3(key).get_object(Bucket=bucket, Key="shared")["Body"].read() == b"x"
    assert [each["UserName"] for each in iam.get_group(GroupName="Readers")["Users"]] == ["Ada"]
    made = iam.create_policy(PolicyName="NoSharing", PolicyDocument=allow("s3:GetObject").replace("Allow", "Deny"))["Policy"]
    iam.attach_user_policy(UserName="Ada", PolicyArn=made["Arn"])
    refused("AccessDenied", s3(key).get_object, Bucket=bucket, Key="shared")
    iam.create_policy_version(PolicyArn=made["Arn"], PolicyDocument=allow("s3:GetObject"), SetAsDefault=True)
    s3(key).get_object(Bucket=bucket, Key="shared")
    assert len(iam.list_policy_versions(PolicyArn=made["Arn"])["Versions"]) == 2
    holders = iam.list_entities_for_policy(PolicyArn=made["Arn"])
    assert [each["UserName"] for each in holders["PolicyUsers"]] == ["Ada"] and not holders["PolicyGroups"], holders
    holders = iam.list_entities_for_policy(PolicyArn="arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")
    assert [each["GroupName"] for each in holders["PolicyGroups"]] == ["Readers"] and not holders["PolicyUsers"], holders
    assert not iam.list_entities_for_policy(PolicyArn=made["Arn"], EntityFilter="Role")["PolicyUsers"]
    assert iam.list_account_aliases()["AccountAliases"] == []
    iam.detach_user_policy(UserName="Ada", PolicyArn=made["Arn"])
    iam.remove_user_from_group(GroupName="Readers", UserName="Ada")
    refused("AccessDenied", s3(key).get_object, Bucket=bucket, Key="shared")


def sessions(key):
    sts = service("sts", key)
    who = sts.get_caller_identity()
    assert who["Arn"].endswith(":user/team/Ada"), who
    role = iam.create_role(RoleName="Reader", AssumeRolePolicyDocument=trust(who["Arn"]))["Role"]
    iam.put_role_policy(RoleName="Reader", PolicyName="all", PolicyDocument=allow("s3:*"))
    taken = sts.assume_role(RoleArn=role["Arn"], RoleSessionName="today", DurationSeconds=900)
    assert taken["AssumedRoleUser"]["Arn"].endswith(":assumed-role/Reader/today"), taken
    session = taken["Credentials"]
    s3(session).put_object(Bucket=bucket, Key="by-role", Body=b"z")
    link = s3(session).generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "by-role"})
    assert "X-Amz-Security-Token" in link or "x-amz-security-token" in link, link
    limited = sts.assume_role(RoleArn=role["Arn"], RoleSessionName="less", Policy=allow("s3:ListBucket"))["Credentials"]
    s3(limited).list_objects_v2(Bucket=bucket)
    refused("AccessDenied", s3(limited).get_object, Bucket=bucket, Key="by-role")
    refused("InvalidAccessKeyId", s3({**session, "SessionToken": None}).list_buckets)
    refused("InvalidToken", s3({**session, "SessionToken": limited["SessionToken"]}).list_buckets)
    refused("AccessDenied", service("sts").assume_role, RoleArn=role["Arn"], RoleSessionName="root")
    own = sts.get_session_token()["Credentials"]
    s3(own).put_object(Bucket=bucket, Key="Ada/b", Body=b"y")
    iam.delete_role_policy(RoleName="Reader", PolicyName="all")
    refused("AccessDenied", s3(session).list_objects_v2, Bucket=bucket)
    iam.delete_role(RoleName="Reader")
    refused("InvalidAccessKeyId", s3(session).list_objects_v2, Bucket=bucket)


def same_at_the_s3_door():
    names = [each["UserName"] for each in service("iam", endpoint=ENDPOINT).list_users()["Users"]]
    assert names == ["Ada"], names
    assert service("sts", endpoint=ENDPOINT).get_caller_identity()["Arn"].endswith(":root")


ada = users()
groups(ada)
sessions(ada)
same_at_the_s3_door()
print("ok")
