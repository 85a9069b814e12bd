"""boto3 asks for each kind of encryption: a key of the customer's, the store's keys, keys with names, and defaults of buckets.

All bodies hold a mark that the test looks for among the files of the store: SEALED where it must not be found, OPEN where it must.
"""

import os
import secrets

import s3
from boto3.s3.transfer import TransferConfig

PART = 5 << 20
BUCKET = "sealed"
SEALED = os.environ["SEALED"].encode()
OPEN = os.environ["OPEN"].encode()
KMS_KEY = os.environ["KMS_KEY"]

KEY, OTHER = secrets.token_bytes(32), secrets.token_bytes(32)
# boto3 encodes keys and computes their MD5 by itself.
WITH = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": KEY}
WRONG = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": OTHER}
FROM = {"CopySourceSSECustomerAlgorithm": "AES256", "CopySourceSSECustomerKey": KEY}
FROM_WRONG = {"CopySourceSSECustomerAlgorithm": "AES256", "CopySourceSSECustomerKey": OTHER}
CONFIG = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART, max_concurrency=4)

c = s3.client()


def marked(size):
    """Content with the mark somewhere inside."""
    content = s3.content(size)
    at = size // 2
    return content[:at] + SEALED + content[at + len(SEALED) :]


def refused(status, code, call, **kwargs):
    error = s3.refused(code, call, **kwargs)
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == status, error


def told(answer):
    """What an answer says of encryption."""
    names = ("ServerSideEncryption", "SSEKMSKeyId", "SSECustomerAlgorithm")
    return {name: answer[name] for name in names if name in answer}


def customer_keys():
    own = {"SSECustomerAlgorithm": "AES256"}
    for size in (100, 100_000, 3 << 20):
        named = {"Bucket": BUCKET, "Key": f"customer/{size}"}
        body = marked(size)
        put = c.put_object(**named, Body=body, **WITH)
        assert told(put) == own and put["SSECustomerKeyMD5"], put
        head = c.head_object(**named, **WITH)
        assert told(head) == own and head["ContentLength"] == size, head
        assert head["SSECustomerKeyMD5"] == put["SSECustomerKeyMD5"], head
        got = c.get_object(**named, **WITH)
        assert told(got) == own and got["Body"].read() == body
        for first, last in ((0, 0), (13, 17), (size // 2 - 3, size // 2 + 30), (size - 1, size - 1)):
            part = c.get_object(**named, Range=f"bytes={first}-{last}", **WITH)["Body"].read()
            assert part == body[first : last + 1], (size, first, last)
        # Of HEAD there is no body to name the error.
        refused(400, "InvalidRequest", c.get_object, **named)
        refused(400, "InvalidRequest", c.get_object, **named, **WRONG)
        refused(400, "400", c.head_object, **named)
        refused(400, "400", c.head_object, **named, **WRONG)
    c.put_object(Bucket=BUCKET, Key="open", Body=OPEN)
    refused(400, "InvalidRequest", c.get_object, Bucket=BUCKET, Key="open", **WITH)
    refused(400, "InvalidArgument", c.put_object, Bucket=BUCKET, Key="x", Body=b"x", ServerSideEncryption="AES256", **WITH)


def copies():
    size = 100_000
    source = {"Bucket": BUCKET, "Key": f"customer/{size}"}
    copy = {"Bucket": BUCKET, "CopySource": source}
    done = c.copy_object(**copy, Key="copies/other", **FROM, **WRONG)
    assert told(done) == {"SSECustomerAlgorithm": "AES256"}, done
    assert c.get_object(Bucket=BUCKET, Key="copies/other", **WRONG)["Body"].read() == marked(size)
    refused(400, "InvalidRequest", c.get_object, Bucket=BUCKET, Key="copies/other", **WITH)
    done = c.copy_object(**copy, Key="copies/managed", **FROM, ServerSideEncryption="AES256")
    assert told(done) == {"ServerSideEncryption": "AES256"}, done
    assert c.get_object(Bucket=BUCKET, Key="copies/managed")["Body"].read() == marked(size)
    refused(400, "InvalidRequest", c.copy_object, **copy, Key="copies/none", **WITH)
    refused(400, "InvalidRequest", c.copy_object, **copy, Key="copies/none", **FROM_WRONG, **WITH)
    s3.refused("404", c.head_object, Bucket=BUCKET, Key="copies/none")


def parts():
    body = marked(2 * PART + 4321)
    with open("upload", "wb") as file:
        file.write(body)
    c.upload_file("upload", BUCKET, "parts/customer", ExtraArgs=WITH, Config=CONFIG)
    head = c.head_object(Bucket=BUCKET, Key="parts/customer", **WITH)
    assert head["ETag"].endswith('-3"') and told(head) == {"SSECustomerAlgorithm": "AES256"}, head
    c.download_file(BUCKET, "parts/customer", "download", ExtraArgs=WITH, Config=CONFIG)
    assert open("download", "rb").read() == body
    second = c.get_object(Bucket=BUCKET, Key="parts/customer", PartNumber=2, **WITH)
    assert second["Body"].read() == body[PART : 2 * PART]
    span = f"bytes={PART - 5}-{PART + 5}"
    assert c.get_object(Bucket=BUCKET, Key="parts/customer", Range=span, **WITH)["Body"].read() == body[PART - 5 : PART + 6]
    refused(400, "InvalidRequest", c.get_object, Bucket=BUCKET, Key="parts/customer", **WRONG)
    # The manager copies part by part, each with both keys.
    c.copy({"Bucket": BUCKET, "Key": "parts/customer"}, BUCKET, "parts/copied", {**FROM, **WRONG}, Config=CONFIG, SourceClient=Keyed())
    head = c.head_object(Bucket=BUCKET, Key="parts/copied", **WRONG)
    assert head["ETag"].endswith('-3"'), head
    assert c.get_object(Bucket=BUCKET, Key="parts/copied", **WRONG)["Body"].read() == body
    named = {"Bucket": BUCKET, "Key": "parts/by hand"}
    upload = c.create_multipart_upload(**named, **WITH)["UploadId"]
    refused(400, "InvalidRequest", c.upload_part, **named, UploadId=upload, PartNumber=1, Body=b"x")
    refused(400, "InvalidRequest", c.upload_part, **named, UploadId=upload, PartNumber=1, Body=b"x", **WRONG)
    c.abort_multipart_upload(**named, UploadId=upload)


class Keyed:
    """A client that shows the key with HEAD: the manager asks so for the size of what it copies, and old ones without a key."""

    @staticmethod
    def head_object(**kwargs):
        return c.head_object(**{**kwargs, **WITH})


def store_keys():
    size = 100_000
    ways = {
        "managed": ({"ServerSideEncryption": "AES256"}, {"ServerSideEncryption": "AES256"}),
        "kms": ({"ServerSideEncryption": "aws:kms"}, {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "aws/s3"}),
        "named": (
            {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": KMS_KEY},
            {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": KMS_KEY},
        ),
    }
    for way, (asked, expected) in ways.items():
        named = {"Bucket": BUCKET, "Key": f"store/{way}"}
        assert told(c.put_object(**named, Body=marked(size), **asked)) == expected, way
        assert told(c.head_object(**named)) == expected, way
        got = c.get_object(**named)
        assert told(got) == expected and got["Body"].read() == marked(size), way
        refused(400, "InvalidRequest", c.get_object, **named, **WITH)
        c.upload_file("upload", BUCKET, f"store/{way} in parts", ExtraArgs=asked, Config=CONFIG)
        got = c.get_object(Bucket=BUCKET, Key=f"store/{way} in parts")
        assert told(got) == expected and got["Body"].read() == marked(2 * PART + 4321), way
    unknown = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "nobody-made-this-key"}
    refused(400, "KMS.NotFoundException", c.put_object, Bucket=BUCKET, Key="store/unknown", Body=b"x", **unknown)
    refused(400, "KMS.NotFoundException", c.create_multipart_upload, Bucket=BUCKET, Key="store/unknown", **unknown)
    s3.refused("404", c.head_object, Bucket=BUCKET, Key="store/unknown")


def defaults():
    assert told(c.head_object(Bucket=BUCKET, Key="open")) == {}
    s3.refused("ServerSideEncryptionConfigurationNotFoundError", c.get_bucket_encryption, Bucket=BUCKET)
    for name, default, expected in (
        ("managed", {"SSEAlgorithm": "AES256"}, {"ServerSideEncryption": "AES256"}),
        (
            "named",
            {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KMS_KEY},
            {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": KMS_KEY},
        ),
    ):
        rule = {"ApplyServerSideEncryptionByDefault": default, "BucketKeyEnabled": False}
        c.put_bucket_encryption(Bucket=BUCKET, ServerSideEncryptionConfiguration={"Rules": [rule]})
        assert c.get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]["Rules"] == [rule]
        key = f"defaults/{name}"
        assert told(c.put_object(Bucket=BUCKET, Key=key, Body=marked(1000))) == expected, name
        assert told(c.head_object(Bucket=BUCKET, Key=key)) == expected, name
        c.upload_file("upload", BUCKET, f"{key} in parts", Config=CONFIG)
        assert told(c.head_object(Bucket=BUCKET, Key=f"{key} in parts")) == expected, name
        copied = c.copy_object(Bucket=BUCKET, Key=f"{key} copied", CopySource=f"{BUCKET}/customer/100000", **FROM)
        assert told(copied) == expected, name
        # Who asks for something else gets it.
        assert told(c.put_object(Bucket=BUCKET, Key=key, Body=marked(10_000), **WITH)) == {"SSECustomerAlgorithm": "AES256"}
    c.delete_bucket_encryption(Bucket=BUCKET)
    assert told(c.put_object(Bucket=BUCKET, Key="open again", Body=OPEN)) == {}


c.create_bucket(Bucket=BUCKET)
for each in (customer_keys, copies, parts, store_keys, defaults):
    each()
print("done")
