package main

import (
	"bytes"
	"io"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/s3/manager"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	transfertypes "github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// transfers sends a large object by the manager of many years and by its successor, and each fetches what the other sent.
func transfers() {
	body := content(3*partBytes+1234, 3)
	uploader := manager.NewUploader(client, func(it *manager.Uploader) { it.PartSize = partBytes })
	// A stream of unknown length.
	sent := must(uploader.Upload(ctx, &s3.PutObjectInput{
		Bucket: bucket, Key: aws.String("transfers/ä +"), Body: io.MultiReader(bytes.NewReader(body)),
	}))
	check(strings.HasSuffix(*sent.ETag, `-4"`), "ETag %s", *sent.ETag)

	successor := transfermanager.New(client, func(options *transfermanager.Options) {
		options.PartSizeBytes, options.MultipartUploadThreshold = partBytes, partBytes
	})
	must(successor.UploadObject(ctx, &transfermanager.UploadObjectInput{
		Bucket: bucket, Key: aws.String("transfers/sha"), Body: bytes.NewReader(body),
		ChecksumAlgorithm: transfertypes.ChecksumAlgorithmSha256, Metadata: map[string]string{"origin": "transfer"},
	}))
	head := must(client.HeadObject(ctx, &s3.HeadObjectInput{
		Bucket: bucket, Key: aws.String("transfers/sha"), ChecksumMode: types.ChecksumModeEnabled,
	}))
	check(head.ChecksumSHA256 != nil && strings.HasSuffix(*head.ChecksumSHA256, "-4"), "checksum %v", head.ChecksumSHA256)
	equal(head.Metadata["origin"], "transfer", "metadata")

	buffer := manager.NewWriteAtBuffer(nil)
	downloader := manager.NewDownloader(client, func(it *manager.Downloader) { it.PartSize = partBytes })
	must(downloader.Download(ctx, buffer, &s3.GetObjectInput{Bucket: bucket, Key: aws.String("transfers/sha")}))
	same(buffer.Bytes(), body, "downloaded")
	for _, key := range []string{"transfers/ä +", "transfers/sha"} {
		buffer := manager.NewWriteAtBuffer(nil)
		must(successor.DownloadObject(ctx, &transfermanager.DownloadObjectInput{Bucket: bucket, Key: &key, WriterAt: buffer}))
		same(buffer.Bytes(), body, "downloaded by the successor")
		got := must(successor.GetObject(ctx, &transfermanager.GetObjectInput{Bucket: bucket, Key: &key}))
		same(must(io.ReadAll(got.Body)), body, "streamed by the successor")
	}
	second := must(get("transfers/ä +", func(input *s3.GetObjectInput) { input.PartNumber = aws.Int32(2) }))
	same(must(io.ReadAll(second.Body)), body[partBytes:2*partBytes], "the second part")
	equal(*second.PartsCount, 4, "parts")
}

func partsByHand() {
	key := aws.String("transfers/by hand")
	begun := must(client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: bucket, Key: key}))
	open := must(client.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: bucket}))
	equal(len(open.Uploads), 1, "open uploads; those of the managers are complete")
	first := must(client.UploadPartCopy(ctx, &s3.UploadPartCopyInput{
		Bucket: bucket, Key: key, UploadId: begun.UploadId, PartNumber: aws.Int32(1),
		CopySource: aws.String(*bucket + "/transfers/sha"), CopySourceRange: aws.String("bytes=100-5242979"),
	}))
	second := must(client.UploadPart(ctx, &s3.UploadPartInput{
		Bucket: bucket, Key: key, UploadId: begun.UploadId, PartNumber: aws.Int32(2), Body: strings.NewReader("the end"),
	}))
	complete := func(tags ...*string) error {
		parts := make([]types.CompletedPart, len(tags))
		for number, tag := range tags {
			parts[number] = types.CompletedPart{ETag: tag, PartNumber: aws.Int32(int32(number + 1))}
		}
		_, err := client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
			Bucket: bucket, Key: key, UploadId: begun.UploadId,
			MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
		})
		return err
	}
	refused(400, "InvalidPart", complete(first.CopyPartResult.ETag, aws.String(`"00000000000000000000000000000000"`)))
	ok(complete(first.CopyPartResult.ETag, second.ETag))
	expected := append(content(3*partBytes+1234, 3)[100:5242980], "the end"...)
	same(read(*key), expected, *key)

	other := must(client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: bucket, Key: key}))
	abort := &s3.AbortMultipartUploadInput{Bucket: bucket, Key: key, UploadId: other.UploadId}
	must(client.AbortMultipartUpload(ctx, abort))
	_, err := client.ListParts(ctx, &s3.ListPartsInput{Bucket: bucket, Key: key, UploadId: other.UploadId})
	refused(404, "NoSuchUpload", err)
}
