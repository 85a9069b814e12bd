package main

import (
	"bytes"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

func presigned() {
	signer := s3.NewPresignClient(client, s3.WithPresignExpires(time.Minute))
	key := "names/a b+c&d=e?f#g%41.txt"
	read := must(signer.PresignGetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: &key}))
	status, body := open(read.Method, read.URL, read.SignedHeader, nil)
	equal(status, 200, string(body))
	same(body, []byte(key), "presigned")
	status, _ = open(read.Method, strings.Replace(read.URL, "a%20b", "a%20c", 1), read.SignedHeader, nil)
	equal(status, 403, "a bent address")
	write := must(signer.PresignPutObject(ctx, &s3.PutObjectInput{
		Bucket: bucket, Key: aws.String("presigned/ä +"), ContentType: aws.String("text/x-put"),
	}))
	status, body = open(write.Method, write.URL, write.SignedHeader, []byte("by an address"))
	equal(status, 200, string(body))
	got := must(get("presigned/ä +"))
	same(must(io.ReadAll(got.Body)), []byte("by an address"), "sent to an address")
	equal(*got.ContentType, "text/x-put", "type")
}

func form() {
	signer := s3.NewPresignClient(client)
	signed := must(signer.PresignPostObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: aws.String("presigned/form")},
		func(options *s3.PresignPostOptions) {
			options.Expires = time.Minute
			options.Conditions = []any{[]any{"content-length-range", 1, 100_000}}
		}))
	send := func(file []byte) int {
		var body bytes.Buffer
		writer := multipart.NewWriter(&body)
		for name, value := range signed.Values {
			ok(writer.WriteField(name, value))
		}
		must(must(writer.CreateFormFile("file", "file.bin")).Write(file))
		ok(writer.Close())
		headers := http.Header{"Content-Type": {writer.FormDataContentType()}}
		status, _ := open(http.MethodPost, signed.URL, headers, body.Bytes())
		return status
	}
	equal(send(content(90_000, 5)), 204, "form")
	same(read("presigned/form"), content(90_000, 5), "form")
	equal(send(content(100_001, 5)), 400, "a form that is too large")
}

func tags() {
	must(put("tags/k", []byte("x"), func(input *s3.PutObjectInput) { input.Tagging = aws.String("kind=small%20one") }))
	told := must(client.GetObjectTagging(ctx, &s3.GetObjectTaggingInput{Bucket: bucket, Key: aws.String("tags/k")}))
	check(len(told.TagSet) == 1 && *told.TagSet[0].Value == "small one", "%v", told.TagSet)
	_, err := client.GetBucketTagging(ctx, &s3.GetBucketTaggingInput{Bucket: bucket})
	refused(404, "NoSuchTagSet", err)
	_, err = client.GetBucketPolicy(ctx, &s3.GetBucketPolicyInput{Bucket: bucket})
	refused(404, "NoSuchBucketPolicy", err)
}

func versions() {
	own, key := aws.String(*bucket+"-versions"), aws.String("k")
	must(client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: own, ObjectLockEnabledForBucket: aws.Bool(true)}))
	equal(must(client.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: own})).Status, "Enabled", "versioning")
	store := func(text string) *string {
		input := &s3.PutObjectInput{Bucket: own, Key: key, Body: strings.NewReader(text)}
		return must(client.PutObject(ctx, input)).VersionId
	}
	remove := func(version *string) (*s3.DeleteObjectOutput, error) {
		return client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: own, Key: key, VersionId: version})
	}
	first, second := store("first"), store("second")
	old := must(client.GetObject(ctx, &s3.GetObjectInput{Bucket: own, Key: key, VersionId: first}))
	same(must(io.ReadAll(old.Body)), []byte("first"), "the first version")
	marker := must(remove(nil))
	check(*marker.DeleteMarker, "no delete marker")
	_, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: own, Key: key})
	refusedAs[*types.NoSuchKey](404, "NoSuchKey", err)
	_, err = client.GetObject(ctx, &s3.GetObjectInput{Bucket: own, Key: key, VersionId: marker.VersionId})
	refused(405, "MethodNotAllowed", err)

	hold := func(status types.ObjectLockLegalHoldStatus) {
		must(client.PutObjectLegalHold(ctx, &s3.PutObjectLegalHoldInput{
			Bucket: own, Key: key, VersionId: first, LegalHold: &types.ObjectLockLegalHold{Status: status},
		}))
	}
	hold(types.ObjectLockLegalHoldStatusOn)
	_, err = remove(first)
	refused(403, "AccessDenied", err)
	hold(types.ObjectLockLegalHoldStatusOff)

	listed := must(client.ListObjectVersions(ctx, &s3.ListObjectVersionsInput{Bucket: own}))
	check(len(listed.Versions) == 2 && len(listed.DeleteMarkers) == 1, "%v", listed)
	equal(*listed.Versions[0].VersionId, *second, "the newest first")
	for _, version := range []*string{first, second, marker.VersionId} {
		must(remove(version))
	}
	must(client.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: own}))
}

func strangers() {
	credentials := must(client.Options().Credentials.Retrieve(ctx))
	_, err := newClient(credentials.AccessKeyID, strings.Repeat("x", 40)).ListBuckets(ctx, &s3.ListBucketsInput{})
	refused(403, "SignatureDoesNotMatch", err)
	_, err = newClient("AKIANOBODYKNOWSTHIS0", credentials.SecretAccessKey).ListBuckets(ctx, &s3.ListBucketsInput{})
	refused(403, "InvalidAccessKeyId", err)
	nobody := s3.New(client.Options(), func(options *s3.Options) { options.Credentials = aws.AnonymousCredentials{} })
	_, err = nobody.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: aws.String("objects/1")})
	refused(403, "AccessDenied", err)
}
