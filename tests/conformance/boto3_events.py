"""boto3 asks to be told of changes in a bucket, and makes some."""

from s3 import client, content, refused

ada = client()
ada.create_bucket(Bucket="told")
wanted = {
    "QueueConfigurations": [
        {
            "Id": "pictures",
            "QueueArn": "arn:aws:sqs:us-east-1::hook",
            "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"],
            "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "in/"}, {"Name": "suffix", "Value": ".jpg"}]}},
        }
    ]
}
ada.put_bucket_notification_configuration(Bucket="told", NotificationConfiguration=wanted)
told = ada.get_bucket_notification_configuration(Bucket="told")
assert told["QueueConfigurations"] == wanted["QueueConfigurations"], told
wanted["QueueConfigurations"][0]["QueueArn"] = "arn:aws:sqs:us-east-1::nobody"
refused(
    "InvalidArgument", ada.put_bucket_notification_configuration, Bucket="told", NotificationConfiguration=wanted
)
ada.put_object(Bucket="told", Key="in/a.jpg", Body=content(100))
ada.put_object(Bucket="told", Key="in/a.txt", Body=b"not told")
upload = ada.create_multipart_upload(Bucket="told", Key="in/a.jpg")["UploadId"]
part = ada.upload_part(Bucket="told", Key="in/a.jpg", UploadId=upload, PartNumber=1, Body=content(200))
parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
ada.complete_multipart_upload(Bucket="told", Key="in/a.jpg", UploadId=upload, MultipartUpload=parts)
ada.copy_object(Bucket="told", Key="in/a.jpg", CopySource="told/in/a.txt")
ada.delete_object(Bucket="told", Key="in/a.jpg")
