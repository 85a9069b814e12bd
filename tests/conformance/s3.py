"""What all scripts that speak S3 share: where the store is, and random content that is the same each time."""

import os
import random

ENDPOINT = os.environ["S3_ENDPOINT"]
CA = os.environ.get("S3_CA")
ACCESS_KEY = os.environ["ACCESS_KEY"]
SECRET_KEY = os.environ["SECRET_KEY"]
# Where a bucket is named: "path", or "virtual" for the host.
STYLE = os.environ["S3_STYLE"]


def client(**config):
    """A boto3 client of the store: no second attempts that would hide a failure."""
    import boto3
    from botocore.config import Config

    settings = {"s3": {"addressing_style": STYLE}, "retries": {"max_attempts": 0}, **config}
    return boto3.client(
        "s3",
        endpoint_url=ENDPOINT,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        region_name="us-east-1",
        verify=CA or True,
        config=Config(**settings),
    )


def content(size, seed=0):
    """Random bytes, the same for the same size and seed."""
    return random.Random(size * 1000 + seed).randbytes(size)


def refused(code, call, *args, **kwargs):
    """Makes a call that must be refused with a code."""
    from botocore.exceptions import ClientError

    try:
        call(*args, **kwargs)
    except ClientError as error:
        found = error.response["Error"]["Code"]
        assert found == code, f"{found} instead of {code}: {error}"
        return error
    raise AssertionError(f"this was not refused: {call} {args} {kwargs}")
