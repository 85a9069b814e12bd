// The AWS SDK for Go v2 against the store: single calls, both managers of transfers, presigned addresses and forms; with the argument
// "encryption" each kind of encryption instead.
package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

const (
	mib       = 1 << 20
	partBytes = 5 * mib
)

var (
	ctx    = context.Background()
	bucket = aws.String(cmp.Or(os.Getenv("S3_BUCKET"), "aws-sdk-go"))
	web    = httpClient()
	client = newClient(os.Getenv("ACCESS_KEY"), os.Getenv("SECRET_KEY"))
)

// Names with blanks, signs, letters beyond ASCII and empty or dotted steps: each must come back as it was sent.
var unusualKeys = []string{
	"names/a b+c&d=e?f#g%41.txt",
	"names/äöü €/日本語",
	"names//two//slashes/",
	"names/./dot/../dots",
	"names/quote's\"(x)*!~;:@$,[]{}",
}

func main() {
	slices.Sort(unusualKeys)
	steps := []func(){
		buckets, objects, checksums, transfers, partsByHand, lists, conditions, presigned, form, tags, versions, strangers, deletes,
	}
	if slices.Equal(os.Args[1:], []string{"encryption"}) {
		steps = []func(){encryption}
	}
	for _, step := range steps {
		step()
	}
	fmt.Println("done")
}

// httpClient trusts the store's own authority where its address is one of TLS.
func httpClient() *http.Client {
	file := os.Getenv("S3_CA")
	if file == "" {
		return &http.Client{}
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(must(os.ReadFile(file))) {
		panic("no certificate in " + file)
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
}

func newClient(accessKey, secretKey string) *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: aws.String(os.Getenv("S3_ENDPOINT")),
		Region:       "us-east-1",
		UsePathStyle: os.Getenv("S3_STYLE") == "path",
		HTTPClient:   web,
		Credentials:  credentials.NewStaticCredentialsProvider(accessKey, secretKey, ""),
		// What a configuration that says nothing of it means.
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenSupported,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenSupported,
		// A second attempt would hide a failure.
		Retryer: aws.NopRetryer{},
	})
}

// content is random, and the same for the same size and seed.
func content(sizeBytes int, seed uint64) []byte {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	filled := make([]byte, sizeBytes)
	must(rand.NewChaCha8(key).Read(filled))
	return filled
}

func must[T any](value T, err error) T {
	ok(err)
	return value
}

func ok(err error) {
	if err != nil {
		panic(err)
	}
}

func check(holds bool, format string, values ...any) {
	if !holds {
		panic(fmt.Sprintf(format, values...))
	}
}

func same(found, expected []byte, what string) {
	check(len(found) == len(expected), "%s: %d bytes instead of %d", what, len(found), len(expected))
	check(bytes.Equal(found, expected), "%s: the content differs", what)
}

func equal[T comparable](found, expected T, what string) {
	check(found == expected, "%s: %v instead of %v", what, found, expected)
}

// refused expects an error with that status and code.
func refused(status int, code string, err error) {
	var answer *smithyhttp.ResponseError
	var named smithy.APIError
	check(errors.As(err, &answer) && errors.As(err, &named), "%d %s was expected, not %v", status, code, err)
	equal(answer.HTTPStatusCode(), status, "status of "+err.Error())
	equal(named.ErrorCode(), code, "code of "+err.Error())
}

// refusedAs expects an error that the SDK has a type for.
func refusedAs[T error](status int, code string, err error) {
	refused(status, code, err)
	var typed T
	check(errors.As(err, &typed), "%v is no %T", err, typed)
}

func put(key string, body []byte, change ...func(*s3.PutObjectInput)) (*s3.PutObjectOutput, error) {
	input := &s3.PutObjectInput{Bucket: bucket, Key: &key, Body: bytes.NewReader(body)}
	for _, each := range change {
		each(input)
	}
	return client.PutObject(ctx, input)
}

func get(key string, change ...func(*s3.GetObjectInput)) (*s3.GetObjectOutput, error) {
	input := &s3.GetObjectInput{Bucket: bucket, Key: &key}
	for _, each := range change {
		each(input)
	}
	return client.GetObject(ctx, input)
}

// read gives all bytes of an object; the SDK compares them with the checksum.
func read(key string) []byte {
	got := must(get(key))
	defer got.Body.Close()
	return must(io.ReadAll(got.Body))
}

// open follows a presigned address or sends what was signed.
func open(method, url string, headers http.Header, body []byte) (int, []byte) {
	request := must(http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body)))
	for name, values := range headers {
		if name != "Host" && name != "Content-Length" {
			request.Header[name] = values
		}
	}
	answer := must(web.Do(request))
	defer answer.Body.Close()
	return answer.StatusCode, must(io.ReadAll(answer.Body))
}
