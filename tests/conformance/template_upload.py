"""Uploads a template in parts, and reads its header by a GET that is given up, as CloudStack does.

Arguments: bucket, key, file.
"""

import os
import sys

import s3
from boto3.s3.transfer import TransferConfig

bucket, key, path = sys.argv[1:]
c = s3.client()
c.upload_file(path, bucket, key, Config=TransferConfig(multipart_threshold=16 << 20, multipart_chunksize=16 << 20))
head = c.head_object(Bucket=bucket, Key=key)
assert head["ContentLength"] == os.path.getsize(path), head
assert head["ETag"].endswith(f'-{-(-os.path.getsize(path) // (16 << 20))}"'), head
body = c.get_object(Bucket=bucket, Key=key)["Body"]
header = body.read(512)
body.close()
assert header[:4] == b"QFI\xfb", header[:16]
assert header == open(path, "rb").read(512)
