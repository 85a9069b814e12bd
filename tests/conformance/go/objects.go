package main

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

func buckets() {
	_, err := client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: bucket})
	refusedAs[*types.NotFound](404, "NotFound", err)
	must(client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: bucket}))
	ok(s3.NewBucketExistsWaiter(client).Wait(ctx, &s3.HeadBucketInput{Bucket: bucket}, time.Minute))
	all := must(client.ListBuckets(ctx, &s3.ListBucketsInput{})).Buckets
	check(slices.ContainsFunc(all, func(each types.Bucket) bool { return *each.Name == *bucket }), "not among %v", all)
}

func objects() {
	for _, size := range []int{0, 1, 70_000, 3 * mib} {
		key, body := fmt.Sprintf("objects/%d", size), content(size, 1)
		sent := must(put(key, body, func(input *s3.PutObjectInput) {
			input.ContentType = aws.String("image/x-test")
			input.Metadata = map[string]string{"origin": "go", "two-words": "a b"}
		}))
		got := must(get(key, func(input *s3.GetObjectInput) { input.ChecksumMode = types.ChecksumModeEnabled }))
		same(must(io.ReadAll(got.Body)), body, key)
		equal(*got.ContentType, "image/x-test", "type")
		equal(fmt.Sprint(got.Metadata), "map[origin:go two-words:a b]", "metadata")
		equal(*got.ETag, *sent.ETag, "ETag")
		check(sent.ChecksumCRC32 != nil && *got.ChecksumCRC32 == *sent.ChecksumCRC32, "the SDK sends a CRC32 by itself")
	}
	large := content(3*mib, 1)
	for spec, expected := range map[string][]byte{
		"bytes=0-0":           large[:1],
		"bytes=131070-131073": large[131070:131074],
		"bytes=3000000-":      large[3_000_000:],
		"bytes=-7":            large[len(large)-7:],
	} {
		part := must(get(fmt.Sprintf("objects/%d", 3*mib), func(input *s3.GetObjectInput) { input.Range = &spec }))
		same(must(io.ReadAll(part.Body)), expected, spec)
	}
	_, err := get("objects/1", func(input *s3.GetObjectInput) { input.Range = aws.String("bytes=5-") })
	refused(416, "InvalidRange", err)
	_, err = get("objects/missing")
	refusedAs[*types.NoSuchKey](404, "NoSuchKey", err)
	_, err = client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: bucket, Key: aws.String("objects/missing")})
	refusedAs[*types.NotFound](404, "NotFound", err)
	_, err = get("x", func(input *s3.GetObjectInput) { input.Bucket = aws.String("nobody-made-this-one") })
	refused(404, "NoSuchBucket", err)
}

func checksums() {
	algorithms := []types.ChecksumAlgorithm{
		types.ChecksumAlgorithmCrc32, types.ChecksumAlgorithmCrc32c, types.ChecksumAlgorithmCrc64nvme,
		types.ChecksumAlgorithmSha1, types.ChecksumAlgorithmSha256,
	}
	for _, algorithm := range algorithms {
		key, body := "checksums/"+string(algorithm), content(100_000, 2)
		must(put(key, body, func(input *s3.PutObjectInput) { input.ChecksumAlgorithm = algorithm }))
		got := must(get(key, func(input *s3.GetObjectInput) { input.ChecksumMode = types.ChecksumModeEnabled }))
		same(must(io.ReadAll(got.Body)), body, key)
		found := map[types.ChecksumAlgorithm]*string{
			types.ChecksumAlgorithmCrc32: got.ChecksumCRC32, types.ChecksumAlgorithmCrc32c: got.ChecksumCRC32C,
			types.ChecksumAlgorithmCrc64nvme: got.ChecksumCRC64NVME,
			types.ChecksumAlgorithmSha1:      got.ChecksumSHA1, types.ChecksumAlgorithmSha256: got.ChecksumSHA256,
		}
		check(found[algorithm] != nil, "no checksum %s came back", algorithm)
	}
	_, err := put("checksums/wrong", []byte("x"), func(input *s3.PutObjectInput) {
		input.ChecksumSHA256 = aws.String(base64.StdEncoding.EncodeToString(make([]byte, 32)))
	})
	refused(400, "BadDigest", err)
	_, err = get("checksums/wrong")
	refused(404, "NoSuchKey", err)
}

func lists() {
	for _, key := range unusualKeys {
		must(put(key, []byte(key)))
		same(read(key), []byte(key), key)
	}
	var found []string
	pages := s3.NewListObjectsV2Paginator(client, &s3.ListObjectsV2Input{
		Bucket: bucket, Prefix: aws.String("names/"), MaxKeys: aws.Int32(2),
	})
	for pages.HasMorePages() {
		for _, each := range must(pages.NextPage(ctx)).Contents {
			found = append(found, *each.Key)
		}
	}
	check(slices.Equal(found, unusualKeys), "%q", found)
	after := must(client.ListObjects(ctx, &s3.ListObjectsInput{
		Bucket: bucket, Prefix: aws.String("names/"), Marker: &unusualKeys[2],
	}))
	equal(len(after.Contents), 2, "objects behind the marker")
	var folders []string
	byFolder := s3.NewListObjectsV2Paginator(client, &s3.ListObjectsV2Input{
		Bucket: bucket, Delimiter: aws.String("/"), MaxKeys: aws.Int32(1),
	})
	for byFolder.HasMorePages() {
		for _, each := range must(byFolder.NextPage(ctx)).CommonPrefixes {
			folders = append(folders, *each.Prefix)
		}
	}
	equal(strings.Join(folders, " "), "checksums/ names/ objects/ transfers/", "folders")
}

func conditions() {
	key := "conditions/k"
	ifNew := func(input *s3.PutObjectInput) { input.IfNoneMatch = aws.String("*") }
	first := must(put(key, []byte("first"), ifNew))
	_, err := put(key, []byte("x"), ifNew)
	refused(412, "PreconditionFailed", err)
	ifFirst := func(input *s3.PutObjectInput) { input.IfMatch = first.ETag }
	second := must(put(key, []byte("second"), ifFirst))
	_, err = put(key, []byte("x"), ifFirst)
	refused(412, "PreconditionFailed", err)
	_, err = get(key, func(input *s3.GetObjectInput) { input.IfMatch = first.ETag })
	refused(412, "PreconditionFailed", err)
	_, err = get(key, func(input *s3.GetObjectInput) { input.IfNoneMatch = second.ETag })
	refused(304, "NotModified", err)
	_, err = client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: bucket, Key: &key, IfMatch: first.ETag})
	refused(412, "PreconditionFailed", err)

	results := make([]error, 8)
	var racers sync.WaitGroup
	for number := range results {
		racers.Add(1)
		go func() {
			defer racers.Done()
			_, results[number] = put("conditions/raced", fmt.Append(nil, number), ifNew)
		}()
	}
	racers.Wait()
	winner := slices.Index(results, nil)
	check(winner >= 0 && slices.Index(results[winner+1:], nil) < 0, "exactly one must win: %v", results)
	same(read("conditions/raced"), fmt.Append(nil, winner), "what the winner wrote")

	source := aws.String(*bucket + "/" + url.PathEscape(unusualKeys[1]))
	must(client.CopyObject(ctx, &s3.CopyObjectInput{Bucket: bucket, Key: aws.String("conditions/copy"), CopySource: source}))
	same(read("conditions/copy"), []byte(unusualKeys[1]), "copy")
}

func deletes() {
	pages := s3.NewListObjectsV2Paginator(client, &s3.ListObjectsV2Input{Bucket: bucket, MaxKeys: aws.Int32(7)})
	for pages.HasMorePages() {
		var keys []types.ObjectIdentifier
		for _, each := range must(pages.NextPage(ctx)).Contents {
			keys = append(keys, types.ObjectIdentifier{Key: each.Key})
		}
		gone := must(client.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: bucket, Delete: &types.Delete{Objects: keys}}))
		check(len(gone.Deleted) == len(keys) && len(gone.Errors) == 0, "%v", gone)
	}
	must(client.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: bucket}))
	ok(s3.NewBucketNotExistsWaiter(client).Wait(ctx, &s3.HeadBucketInput{Bucket: bucket}, time.Minute))
}
