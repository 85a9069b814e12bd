"""boto3 sets lists, policies, tags, locks and rules for pages, and other users and browsers meet them."""

import datetime
import http.client
import json
import os
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

import boto3
from botocore.config import Config
from s3 import CA, ENDPOINT, client, content, refused

ada = client()
eve = boto3.client(
    "s3",
    endpoint_url=ENDPOINT,
    aws_access_key_id=os.environ["OTHER_ACCESS_KEY"],
    aws_secret_access_key=os.environ["OTHER_SECRET_KEY"],
    region_name="us-east-1",
    verify=CA or True,
    config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 0}),
)
TRUST = ssl.create_default_context(cafile=CA)


def status(path, method="GET", headers=None):
    """What somebody without a name is answered."""
    request = urllib.request.Request(f"{ENDPOINT.rstrip('/')}/{path}", method=method, headers=headers or {})
    try:
        with urllib.request.urlopen(request, context=TRUST) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def owner_of(who):
    return who.list_buckets()["Owner"]["ID"]


def lists():
    ada.create_bucket(Bucket="lists")
    ada.put_object(Bucket="lists", Key="open", Body=b"x", ACL="public-read")
    ada.put_object(Bucket="lists", Key="shut", Body=b"x")
    assert (status("lists/open"), status("lists/shut"), status("lists/missing")) == (200, 403, 403)
    grants = ada.get_object_acl(Bucket="lists", Key="open")["Grants"]
    assert {grant["Permission"] for grant in grants} == {"READ", "FULL_CONTROL"}, grants
    refused("AccessDenied", eve.list_objects_v2, Bucket="lists")
    ada.put_bucket_acl(Bucket="lists", GrantRead=f"id={owner_of(eve)}")
    assert [each["Key"] for each in eve.list_objects_v2(Bucket="lists")["Contents"]] == ["open", "shut"]
    ada.put_public_access_block(
        Bucket="lists",
        PublicAccessBlockConfiguration={
            "BlockPublicAcls": True,
            "IgnorePublicAcls": True,
            "BlockPublicPolicy": True,
            "RestrictPublicBuckets": True,
        },
    )
    assert status("lists/open") == 403
    refused("AccessDenied", ada.put_object_acl, Bucket="lists", Key="shut", ACL="public-read")
    ada.put_bucket_ownership_controls(
        Bucket="lists", OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerPreferred"}]}
    )
    rules = ada.get_bucket_ownership_controls(Bucket="lists")["OwnershipControls"]["Rules"]
    assert rules == [{"ObjectOwnership": "BucketOwnerPreferred"}], rules


def policies():
    ada.create_bucket(Bucket="policies")
    ada.put_object(Bucket="policies", Key="public/a", Body=b"x", Tagging="kind=open")
    ada.put_object(Bucket="policies", Key="private/a", Body=b"x")
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{owner_of(eve)}:root"},
                "Action": ["s3:PutObject", "s3:GetObject"],
                "Resource": "arn:aws:s3:::policies/public/*",
            },
            {
                "Effect": "Allow",
                "Principal": "*",
                "Action": "s3:GetObject",
                "Resource": "arn:aws:s3:::policies/*",
                "Condition": {"StringEquals": {"s3:ExistingObjectTag/kind": "open"}},
            },
        ],
    }
    ada.put_bucket_policy(Bucket="policies", Policy=json.dumps(policy))
    assert json.loads(ada.get_bucket_policy(Bucket="policies")["Policy"]) == policy
    eve.put_object(Bucket="policies", Key="public/b", Body=b"by eve")
    refused("AccessDenied", eve.put_object, Bucket="policies", Key="private/b", Body=b"x")
    refused("AccessDenied", eve.get_object, Bucket="policies", Key="private/a")
    assert (status("policies/public/a"), status("policies/private/a")) == (200, 403)
    ada.put_object_tagging(Bucket="policies", Key="public/a", Tagging={"TagSet": []})
    assert status("policies/public/a") == 403
    refused("MalformedPolicy", ada.put_bucket_policy, Bucket="policies", Policy='{"Statement": []}')
    ada.delete_bucket_policy(Bucket="policies")
    refused("AccessDenied", eve.put_object, Bucket="policies", Key="public/c", Body=b"x")


def locks():
    ada.create_bucket(Bucket="locks", ObjectLockEnabledForBucket=True)
    until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=1)
    made = ada.put_object(
        Bucket="locks", Key="k", Body=b"x", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=until
    )
    named = {"Bucket": "locks", "Key": "k", "VersionId": made["VersionId"]}
    refused("AccessDenied", ada.delete_object, **named)
    ada.delete_object(Bucket="locks", Key="k")
    assert ada.get_object(**named)["Body"].read() == b"x"
    ada.put_object_legal_hold(**named, LegalHold={"Status": "ON"})
    refused("AccessDenied", ada.delete_object, **named, BypassGovernanceRetention=True)
    ada.put_object_legal_hold(**named, LegalHold={"Status": "OFF"})
    ada.delete_object(**named, BypassGovernanceRetention=True)
    rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 1}}
    ada.put_object_lock_configuration(
        Bucket="locks", ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
    )
    assert ada.get_object_lock_configuration(Bucket="locks")["ObjectLockConfiguration"]["Rule"] == rule
    ada.put_object(Bucket="locks", Key="default", Body=b"x")
    assert ada.head_object(Bucket="locks", Key="default")["ObjectLockMode"] == "COMPLIANCE"


def pages():
    ada.create_bucket(Bucket="pages", ACL="public-read")
    rule = {"AllowedMethods": ["GET"], "AllowedOrigins": ["https://*.example.lan"], "MaxAgeSeconds": 60}
    ada.put_bucket_cors(Bucket="pages", CORSConfiguration={"CORSRules": [rule]})
    assert ada.get_bucket_cors(Bucket="pages")["CORSRules"] == [rule]
    asked = {"Access-Control-Request-Method": "GET"}
    assert status("pages/k", "OPTIONS", {"Origin": "https://a.example.lan", **asked}) == 200
    assert status("pages/k", "OPTIONS", {"Origin": "https://a.example.org", **asked}) == 403


def forms():
    ada.create_bucket(Bucket="forms")
    body = content(300_000)
    form = ada.generate_presigned_post(
        "forms",
        "in/${filename}",
        Fields={"x-amz-meta-by": "page"},
        Conditions=[{"x-amz-meta-by": "page"}, ["content-length-range", 1, 400_000]],
    )
    boundary = uuid.uuid4().hex
    lines = []
    for name, value in form["fields"].items():
        lines.append(f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode())
    lines.append(f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="f.bin"\r\n\r\n'.encode())
    target = urllib.parse.urlsplit(form["url"])
    if target.scheme == "https":
        connection = http.client.HTTPSConnection(target.netloc, context=TRUST)
    else:
        connection = http.client.HTTPConnection(target.netloc)
    connection.request(
        "POST",
        target.path,
        b"".join(lines) + body + f"\r\n--{boundary}--\r\n".encode(),
        {"Content-Type": f"multipart/form-data; boundary={boundary}"},
    )
    answer = connection.getresponse()
    assert answer.status == 204, answer.read()
    got = ada.get_object(Bucket="forms", Key="in/f.bin")
    assert got["Body"].read() == body and got["Metadata"] == {"by": "page"}


def attributes():
    ada.create_bucket(Bucket="attributes")
    upload = ada.create_multipart_upload(Bucket="attributes", Key="k", ChecksumAlgorithm="SHA256")["UploadId"]
    named = {"Bucket": "attributes", "Key": "k", "UploadId": upload}
    parts = []
    for number, size in ((1, 5 << 20), (2, 1000)):
        part = ada.upload_part(**named, PartNumber=number, Body=content(size), ChecksumAlgorithm="SHA256")
        parts.append({"PartNumber": number, "ETag": part["ETag"], "ChecksumSHA256": part["ChecksumSHA256"]})
    whole = ada.complete_multipart_upload(**named, MultipartUpload={"Parts": parts})
    again = ada.complete_multipart_upload(**named, MultipartUpload={"Parts": parts})
    assert whole["ETag"] == again["ETag"]
    told = ada.get_object_attributes(
        Bucket="attributes", Key="k", ObjectAttributes=["ETag", "Checksum", "ObjectParts", "ObjectSize", "StorageClass"]
    )
    assert told["ObjectSize"] == (5 << 20) + 1000 and told["Checksum"]["ChecksumSHA256"] == whole["ChecksumSHA256"]
    shown = [(part["PartNumber"], part["Size"], part["ChecksumSHA256"]) for part in told["ObjectParts"]["Parts"]]
    assert shown == [(1, 5 << 20, parts[0]["ChecksumSHA256"]), (2, 1000, parts[1]["ChecksumSHA256"])], shown


def websites():
    ada.create_bucket(Bucket="websites")
    refused("NoSuchWebsiteConfiguration", ada.get_bucket_website, Bucket="websites")
    website = {
        "IndexDocument": {"Suffix": "index.html"},
        "ErrorDocument": {"Key": "error.html"},
        "RoutingRules": [
            {
                "Condition": {"KeyPrefixEquals": "old/"},
                "Redirect": {"ReplaceKeyPrefixWith": "new/", "HttpRedirectCode": "302", "Protocol": "https"},
            }
        ],
    }
    ada.put_bucket_website(Bucket="websites", WebsiteConfiguration=website)
    told = ada.get_bucket_website(Bucket="websites")
    assert {name: told[name] for name in website} == website, told
    ada.put_object(Bucket="websites", Key="moved", Body=b"", WebsiteRedirectLocation="/elsewhere")
    assert ada.head_object(Bucket="websites", Key="moved")["WebsiteRedirectLocation"] == "/elsewhere"
    refused("AccessDenied", eve.put_bucket_website, Bucket="websites", WebsiteConfiguration=website)
    ada.delete_bucket_website(Bucket="websites")
    ada.put_bucket_request_payment(Bucket="websites", RequestPaymentConfiguration={"Payer": "BucketOwner"})
    requester = {"Payer": "Requester"}
    refused("NotImplemented", ada.put_bucket_request_payment, Bucket="websites", RequestPaymentConfiguration=requester)
    queue = {"QueueArn": "arn:aws:sqs:us-east-1::nobody", "Events": ["s3:ObjectCreated:*"]}
    unknown = {"QueueConfigurations": [queue]}
    refused(
        "InvalidArgument",
        ada.put_bucket_notification_configuration,
        Bucket="websites",
        NotificationConfiguration=unknown,
    )
    ada.put_bucket_notification_configuration(Bucket="websites", NotificationConfiguration={})


def access_logs():
    for name in ("logged", "logs"):
        ada.create_bucket(Bucket=name)
    assert "LoggingEnabled" not in ada.get_bucket_logging(Bucket="logged")
    status = {"LoggingEnabled": {"TargetBucket": "logs", "TargetPrefix": "from/"}}
    put = {"Bucket": "logged", "BucketLoggingStatus": status}
    refused("InvalidTargetBucketForLogging", ada.put_bucket_logging, **put)
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "logging.s3.amazonaws.com"},
        "Action": "s3:PutObject",
        "Resource": "arn:aws:s3:::logs/from/*",
        "Condition": {"ArnLike": {"aws:SourceArn": "arn:aws:s3:::logged"}},
    }
    ada.put_bucket_policy(Bucket="logs", Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    refused("AccessDenied", eve.put_bucket_logging, **put)
    ada.put_bucket_logging(**put)
    assert ada.get_bucket_logging(Bucket="logged")["LoggingEnabled"]["TargetBucket"] == "logs"
    ada.put_object(Bucket="logged", Key="k", Body=b"bytes")
    refused("AccessDenied", eve.get_object, Bucket="logged", Key="k")
    # The store delivers each second here; it is waited for as long as the machine is slow.
    lines = []
    while not any("AccessDenied" in line for line in lines):
        time.sleep(0.5)
        keys = [found["Key"] for found in ada.list_objects_v2(Bucket="logs", Prefix="from/").get("Contents", [])]
        logs = [ada.get_object(Bucket="logs", Key=key)["Body"].read().decode() for key in keys]
        lines = [line for log in logs for line in log.splitlines()]
    put_line = next(line for line in lines if "REST.PUT.OBJECT" in line)
    assert f" {owner_of(ada)} " in put_line and "127.0.0.1" in put_line and ' "PUT /logged/k ' in put_line, put_line
    get_line = next(line for line in lines if "REST.GET.OBJECT" in line)
    assert f" {owner_of(eve)} " in get_line and " 403 AccessDenied " in get_line and "Boto3" in get_line, get_line


for each in (lists, policies, locks, pages, forms, attributes, websites, access_logs):
    each()
