"""Round trips of boto3: objects, metadata, ranges, parts, lists, copies, conditions, deletes and presigned addresses."""

import os
import ssl
import urllib.error
import urllib.request

import s3
from boto3.s3.transfer import TransferConfig

PART = 5 << 20
BUCKET = os.environ.get("S3_BUCKET", "boto3")


def objects(c):
    for size in (0, 1, 16 << 10, (16 << 10) + 1, 3 << 20):
        body = s3.content(size)
        key = f"objects/ä ö/{size}+%&=.bin"
        c.put_object(Bucket=BUCKET, Key=key, Body=body, Metadata={"origin": "boto3"}, ContentType="image/x-test")
        head = c.head_object(Bucket=BUCKET, Key=key)
        assert (head["ContentLength"], head["ContentType"]) == (size, "image/x-test"), head
        assert head["Metadata"] == {"origin": "boto3"}, head
        assert c.get_object(Bucket=BUCKET, Key=key)["Body"].read() == body
    body = s3.content(3 << 20)
    key = f"objects/ä ö/{3 << 20}+%&=.bin"
    for spec, expected in (
        ("bytes=0-0", body[:1]),
        ("bytes=131070-131073", body[131070:131074]),
        ("bytes=3000000-", body[3000000:]),
        ("bytes=-100", body[-100:]),
    ):
        answer = c.get_object(Bucket=BUCKET, Key=key, Range=spec)
        assert answer["Body"].read() == expected, spec
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 206, spec
    s3.refused("InvalidRange", c.get_object, Bucket=BUCKET, Key=key, Range="bytes=99999999-")
    s3.refused("NoSuchKey", c.get_object, Bucket=BUCKET, Key="not there")
    s3.refused("NoSuchBucket", c.get_object, Bucket="not-there-at-all", Key="x")


def parts(c):
    body = s3.content(2 * PART + 4321)
    config = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART, max_concurrency=4)
    with open("upload", "wb") as file:
        file.write(body)
    c.upload_file("upload", BUCKET, "parts/large", Config=config)
    assert c.head_object(Bucket=BUCKET, Key="parts/large")["ETag"].endswith('-3"')
    c.download_file(BUCKET, "parts/large", "download", Config=config)
    assert open("download", "rb").read() == body
    second = c.get_object(Bucket=BUCKET, Key="parts/large", PartNumber=2)
    assert second["Body"].read() == body[PART : 2 * PART] and second["PartsCount"] == 3, second
    # A header is read and the connection dropped, which harms nobody.
    aborted = c.get_object(Bucket=BUCKET, Key="parts/large")["Body"]
    assert aborted.read(512) == body[:512]
    aborted.close()

    upload = c.create_multipart_upload(Bucket=BUCKET, Key="parts/aborted")["UploadId"]
    c.upload_part(Bucket=BUCKET, Key="parts/aborted", UploadId=upload, PartNumber=1, Body=b"x")
    assert [one["UploadId"] for one in c.list_multipart_uploads(Bucket=BUCKET)["Uploads"]] == [upload]
    assert len(c.list_parts(Bucket=BUCKET, Key="parts/aborted", UploadId=upload)["Parts"]) == 1
    c.abort_multipart_upload(Bucket=BUCKET, Key="parts/aborted", UploadId=upload)
    s3.refused("NoSuchUpload", c.list_parts, Bucket=BUCKET, Key="parts/aborted", UploadId=upload)


def lists(c):
    keys = sorted(f"list/{folder}/{name}" for folder in ("a", "b", "ü") for name in ("1", "2 +", "3&<"))
    for key in keys:
        c.put_object(Bucket=BUCKET, Key=key, Body=key.encode())
    for operation in ("list_objects", "list_objects_v2"):
        pages = c.get_paginator(operation).paginate(Bucket=BUCKET, Prefix="list/", PaginationConfig={"PageSize": 4})
        found = [row["Key"] for page in pages for row in page["Contents"]]
        assert found == keys, (operation, found)
        pages = c.get_paginator(operation).paginate(
            Bucket=BUCKET, Prefix="list/", Delimiter="/", PaginationConfig={"PageSize": 2}
        )
        folders = [row["Prefix"] for page in pages for row in page.get("CommonPrefixes", [])]
        assert folders == ["list/a/", "list/b/", "list/ü/"], (operation, folders)
    versions = c.list_object_versions(Bucket=BUCKET, Prefix="list/")["Versions"]
    assert [row["Key"] for row in versions] == keys and {row["VersionId"] for row in versions} == {"null"}
    assert BUCKET in [row["Name"] for row in c.list_buckets()["Buckets"]]


def copies_and_conditions(c):
    source = {"Bucket": BUCKET, "Key": "list/ü/2 +"}
    c.copy_object(Bucket=BUCKET, Key="copy", CopySource=source)
    got = c.get_object(Bucket=BUCKET, Key="copy")
    assert got["Body"].read() == "list/ü/2 +".encode()
    s3.refused("304", c.head_object, Bucket=BUCKET, Key="copy", IfNoneMatch=got["ETag"])
    s3.refused("PreconditionFailed", c.get_object, Bucket=BUCKET, Key="copy", IfMatch='"other"')
    large = {"Bucket": BUCKET, "Key": "parts/large"}
    upload = c.create_multipart_upload(Bucket=BUCKET, Key="copied/large")["UploadId"]
    done = []
    for number, span in ((1, f"bytes=0-{PART - 1}"), (2, f"bytes={PART}-{2 * PART + 4320}")):
        part = c.upload_part_copy(
            Bucket=BUCKET, Key="copied/large", UploadId=upload, PartNumber=number, CopySource=large, CopySourceRange=span
        )
        done.append({"PartNumber": number, "ETag": part["CopyPartResult"]["ETag"]})
    c.complete_multipart_upload(
        Bucket=BUCKET, Key="copied/large", UploadId=upload, MultipartUpload={"Parts": done}
    )
    assert c.get_object(Bucket=BUCKET, Key="copied/large")["Body"].read() == s3.content(2 * PART + 4321)


def presigned(c):
    context = ssl.create_default_context(cafile=s3.CA) if s3.CA else None
    for version in ("s3v4", "s3"):
        signer = s3.client(signature_version=version)
        url = signer.generate_presigned_url("get_object", {"Bucket": BUCKET, "Key": "list/a/2 +"}, ExpiresIn=60)
        assert urllib.request.urlopen(url, context=context).read() == b"list/a/2 +", version
        put = signer.generate_presigned_url("put_object", {"Bucket": BUCKET, "Key": f"put-{version}"}, ExpiresIn=60)
        request = urllib.request.Request(put, data=b"presigned", method="PUT")
        request.add_unredirected_header("Content-Type", "")
        assert urllib.request.urlopen(request, context=context).status == 200, version
        assert c.get_object(Bucket=BUCKET, Key=f"put-{version}")["Body"].read() == b"presigned"
        try:
            urllib.request.urlopen(url.replace("list/a", "list/b"), context=context)
            raise AssertionError("an address was bent")
        except urllib.error.HTTPError as error:
            assert error.code == 403, error


def strangers():
    import boto3
    from botocore.config import Config

    def stranger(access_key, secret_key):
        return boto3.client(
            "s3",
            endpoint_url=s3.ENDPOINT,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            region_name="eu-west-9",
            verify=s3.CA or True,
            config=Config(s3={"addressing_style": s3.STYLE}, retries={"max_attempts": 0}),
        )

    s3.refused("InvalidAccessKeyId", stranger("AKIANOBODYKNOWSTHIS0", "x" * 40).list_buckets)
    s3.refused("SignatureDoesNotMatch", stranger(s3.ACCESS_KEY, "x" * 40).list_buckets)
    assert stranger(s3.ACCESS_KEY, s3.SECRET_KEY).list_buckets()["Buckets"], "any region will do"


def deletes(c):
    pages = c.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, PaginationConfig={"PageSize": 7})
    s3.refused("BucketNotEmpty", c.delete_bucket, Bucket=BUCKET)
    for page in pages:
        wanted = [{"Key": row["Key"]} for row in page["Contents"]]
        gone = c.delete_objects(Bucket=BUCKET, Delete={"Objects": wanted})
        assert len(gone["Deleted"]) == len(wanted) and "Errors" not in gone, gone
    c.delete_object(Bucket=BUCKET, Key="never there")
    c.delete_bucket(Bucket=BUCKET)
    s3.refused("404", c.head_bucket, Bucket=BUCKET)


def main():
    c = s3.client()
    c.create_bucket(Bucket=BUCKET)
    objects(c)
    parts(c)
    lists(c)
    copies_and_conditions(c)
    presigned(c)
    strangers()
    deletes(c)
    v2 = s3.client(signature_version="s3")
    v2.create_bucket(Bucket=BUCKET)
    objects(v2)
    parts(v2)
    lists(v2)
    copies_and_conditions(v2)
    deletes(v2)


main()
