package main

import (
	"bytes"
	"crypto/md5"
	cryptorand "crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/s3/manager"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// Marks that the test looks for among the files of the store: where they must not be found, and where they must.
var (
	sealedMark = os.Getenv("SEALED")
	openMark   = os.Getenv("OPEN")
	kmsKey     = os.Getenv("KMS_KEY")
)

// customerKey is a key as the headers have it: this SDK encodes nothing by itself.
type customerKey struct{ algorithm, key, md5 *string }

func newCustomerKey() customerKey {
	key := make([]byte, 32)
	must(cryptorand.Read(key))
	sum := md5.Sum(key)
	encode := base64.StdEncoding.EncodeToString
	return customerKey{aws.String("AES256"), aws.String(encode(key)), aws.String(encode(sum[:]))}
}

func (own customerKey) put(input *s3.PutObjectInput) {
	input.SSECustomerAlgorithm, input.SSECustomerKey, input.SSECustomerKeyMD5 = own.algorithm, own.key, own.md5
}

func (own customerKey) get(input *s3.GetObjectInput) {
	input.SSECustomerAlgorithm, input.SSECustomerKey, input.SSECustomerKeyMD5 = own.algorithm, own.key, own.md5
}

func (own customerKey) copy(input *s3.CopyObjectInput) {
	input.SSECustomerAlgorithm, input.SSECustomerKey, input.SSECustomerKeyMD5 = own.algorithm, own.key, own.md5
}

func (own customerKey) copySource(input *s3.CopyObjectInput) {
	input.CopySourceSSECustomerAlgorithm, input.CopySourceSSECustomerKey = own.algorithm, own.key
	input.CopySourceSSECustomerKeyMD5 = own.md5
}

func head(key string, own customerKey) (*s3.HeadObjectOutput, error) {
	return client.HeadObject(ctx, &s3.HeadObjectInput{
		Bucket: bucket, Key: &key, SSECustomerAlgorithm: own.algorithm, SSECustomerKey: own.key, SSECustomerKeyMD5: own.md5,
	})
}

func readWith(key string, change ...func(*s3.GetObjectInput)) []byte {
	got := must(get(key, change...))
	defer got.Body.Close()
	return must(io.ReadAll(got.Body))
}

// marked is content with the mark somewhere inside.
func marked(sizeBytes int) []byte {
	filled := content(sizeBytes, 7)
	copy(filled[sizeBytes/2:], sealedMark)
	return filled
}

func encryption() {
	bucket = aws.String("sealed")
	must(client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: bucket}))
	own, other := newCustomerKey(), newCustomerKey()
	customerKeys(own, other)
	encryptedCopies(own, other)
	encryptedTransfers(own, other)
	storeKeys()
	encryptionDefaults()
}

func customerKeys(own, other customerKey) {
	for _, size := range []int{100, 100_000, 3 * mib} {
		key, body := fmt.Sprintf("customer/%d", size), marked(size)
		sent := must(put(key, body, own.put))
		equal(*sent.SSECustomerAlgorithm, "AES256", "algorithm")
		equal(*sent.SSECustomerKeyMD5, *own.md5, "MD5 of the key")
		told := must(head(key, own))
		equal(*told.SSECustomerAlgorithm, "AES256", "algorithm")
		equal(*told.ContentLength, int64(size), "size")
		same(readWith(key, own.get), body, key)
		span := func(input *s3.GetObjectInput) { input.Range = aws.String("bytes=13-77") }
		same(readWith(key, own.get, span), body[13:78], "a range")
		_, err := get(key)
		refused(400, "InvalidRequest", err)
		_, err = get(key, other.get)
		refused(400, "InvalidRequest", err)
		_, err = head(key, other)
		check(err != nil && strings.Contains(err.Error(), "StatusCode: 400"), "HEAD with another key: %v", err)
	}
	must(put("open", []byte(openMark)))
	_, err := get("open", own.get)
	refused(400, "InvalidRequest", err)
}

func encryptedCopies(own, other customerKey) {
	copied := func(key string, change ...func(*s3.CopyObjectInput)) (*s3.CopyObjectOutput, error) {
		input := &s3.CopyObjectInput{Bucket: bucket, Key: &key, CopySource: aws.String(*bucket + "/customer/100000")}
		for _, each := range change {
			each(input)
		}
		return client.CopyObject(ctx, input)
	}
	equal(*must(copied("copies/other", own.copySource, other.copy)).SSECustomerKeyMD5, *other.md5, "MD5 of the copy's key")
	same(readWith("copies/other", other.get), marked(100_000), "copied under another key")
	_, err := get("copies/other", own.get)
	refused(400, "InvalidRequest", err)
	managed := func(input *s3.CopyObjectInput) { input.ServerSideEncryption = types.ServerSideEncryptionAes256 }
	equal(must(copied("copies/managed", own.copySource, managed)).ServerSideEncryption, "AES256", "encryption of the copy")
	same(read("copies/managed"), marked(100_000), "copied under a key of the store")
	_, err = copied("copies/none", own.copy)
	refused(400, "InvalidRequest", err)
	_, err = copied("copies/none", other.copySource, own.copy)
	refused(400, "InvalidRequest", err)
	_, err = get("copies/none")
	refused(404, "NoSuchKey", err)
}

// encryptedTransfers sends in parts by both managers, and each fetches what the other sent.
func encryptedTransfers(own, other customerKey) {
	body := marked(2*partBytes + 1234)
	uploader := manager.NewUploader(client, func(it *manager.Uploader) { it.PartSize = partBytes })
	sent := must(uploader.Upload(ctx, &s3.PutObjectInput{
		Bucket: bucket, Key: aws.String("transfers/old"), Body: io.MultiReader(bytes.NewReader(body)),
		SSECustomerAlgorithm: own.algorithm, SSECustomerKey: own.key, SSECustomerKeyMD5: own.md5,
	}))
	check(strings.HasSuffix(*sent.ETag, `-3"`), "ETag %s", *sent.ETag)
	successor := transfermanager.New(client, func(options *transfermanager.Options) {
		options.PartSizeBytes, options.MultipartUploadThreshold = partBytes, partBytes
	})
	must(successor.UploadObject(ctx, &transfermanager.UploadObjectInput{
		Bucket: bucket, Key: aws.String("transfers/new"), Body: bytes.NewReader(body),
		SSECustomerAlgorithm: own.algorithm, SSECustomerKey: own.key, SSECustomerKeyMD5: own.md5,
	}))
	downloader := manager.NewDownloader(client, func(it *manager.Downloader) { it.PartSize = partBytes })
	for _, key := range []string{"transfers/old", "transfers/new"} {
		equal(*must(head(key, own)).SSECustomerKeyMD5, *own.md5, "MD5 of the key")
		input := &s3.GetObjectInput{Bucket: bucket, Key: &key}
		own.get(input)
		buffer := manager.NewWriteAtBuffer(nil)
		must(downloader.Download(ctx, buffer, input))
		same(buffer.Bytes(), body, key)
		buffer = manager.NewWriteAtBuffer(nil)
		must(successor.DownloadObject(ctx, &transfermanager.DownloadObjectInput{
			Bucket: bucket, Key: &key, WriterAt: buffer,
			SSECustomerAlgorithm: own.algorithm, SSECustomerKey: own.key, SSECustomerKeyMD5: own.md5,
		}))
		same(buffer.Bytes(), body, key+" by the successor")
		second := func(input *s3.GetObjectInput) { input.PartNumber = aws.Int32(2) }
		same(readWith(key, own.get, second), body[partBytes:2*partBytes], "the second part")
		_, err := get(key, other.get)
		refused(400, "InvalidRequest", err)
	}
}

func storeKeys() {
	for _, way := range []struct {
		encryption types.ServerSideEncryption
		asked      *string
		told       string
	}{
		{types.ServerSideEncryptionAes256, nil, ""},
		{types.ServerSideEncryptionAwsKms, nil, "aws/s3"},
		{types.ServerSideEncryptionAwsKms, &kmsKey, kmsKey},
	} {
		key := fmt.Sprintf("store/%s%s", way.encryption, way.told)
		must(put(key, marked(100_000), func(input *s3.PutObjectInput) {
			input.ServerSideEncryption, input.SSEKMSKeyId = way.encryption, way.asked
		}))
		told := must(head(key, customerKey{}))
		equal(told.ServerSideEncryption, way.encryption, "encryption")
		equal(aws.ToString(told.SSEKMSKeyId), way.told, "key")
		same(read(key), marked(100_000), key)
	}
	_, err := put("store/unknown", []byte(sealedMark), func(input *s3.PutObjectInput) {
		input.ServerSideEncryption, input.SSEKMSKeyId = types.ServerSideEncryptionAwsKms, aws.String("nobody-made-this-key")
	})
	refused(400, "KMS.NotFoundException", err)
	_, err = get("store/unknown")
	refused(404, "NoSuchKey", err)
}

func encryptionDefaults() {
	ask := &s3.GetBucketEncryptionInput{Bucket: bucket}
	_, err := client.GetBucketEncryption(ctx, ask)
	refused(404, "ServerSideEncryptionConfigurationNotFoundError", err)
	for _, way := range []types.ServerSideEncryptionByDefault{
		{SSEAlgorithm: types.ServerSideEncryptionAes256},
		{SSEAlgorithm: types.ServerSideEncryptionAwsKms, KMSMasterKeyID: &kmsKey},
	} {
		must(client.PutBucketEncryption(ctx, &s3.PutBucketEncryptionInput{
			Bucket: bucket, ServerSideEncryptionConfiguration: &types.ServerSideEncryptionConfiguration{
				Rules: []types.ServerSideEncryptionRule{{ApplyServerSideEncryptionByDefault: &way}},
			},
		}))
		kept := must(client.GetBucketEncryption(ctx, ask)).ServerSideEncryptionConfiguration.Rules
		check(len(kept) == 1 && kept[0].ApplyServerSideEncryptionByDefault.SSEAlgorithm == way.SSEAlgorithm, "%v", kept)
		key := "defaults/" + string(way.SSEAlgorithm)
		must(put(key, marked(10_000)))
		told := must(head(key, customerKey{}))
		equal(told.ServerSideEncryption, way.SSEAlgorithm, "encryption")
		equal(aws.ToString(told.SSEKMSKeyId), aws.ToString(way.KMSMasterKeyID), "key")
		same(read(key), marked(10_000), key)
	}
	must(client.DeleteBucketEncryption(ctx, &s3.DeleteBucketEncryptionInput{Bucket: bucket}))
	equal(must(put("open again", []byte(openMark))).ServerSideEncryption, "", "encryption without a default")
}
