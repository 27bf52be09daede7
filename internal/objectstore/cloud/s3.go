package cloud

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/logging"
	"github.com/aws/smithy-go/middleware"

	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/objectstore/location"
)

// s3Bucket is a bucket of S3, or of a server that is compatible with it.
type s3Bucket struct {
	name        string
	client      *s3.Client
	credentials *aws.CredentialsCache
	connections *http.Transport
}

// anyRegion signs requests to a server that was given by its address, if no region is given.
// Most servers accept it.
const anyRegion = "us-east-1"

// openS3 takes the configuration as the AWS tools do: from the environment, the files in
// ~/.aws, and the metadata of the instance. Options of the URL come first.
func openS3(ctx context.Context, at location.Remote) (*s3Bucket, error) {
	endpoint := at.Option("endpoint")
	load := []func(*config.LoadOptions) error{
		config.WithRegion(at.Option("region")),
		config.WithSharedConfigProfile(at.Option("profile")),
		config.WithLogger(logging.Nop{}),
	}
	loaded, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", objectstore.ErrNoCredentials, err)
	}
	b := &s3Bucket{name: at.Bucket}
	b.credentials = newCredentials(credentialsReader(load))
	b.connections = newTransport(nil)
	if standard, ok := loaded.HTTPClient.(*awshttp.BuildableClient); ok {
		b.connections.TLSClientConfig = standard.GetTransport().TLSClientConfig // with AWS_CA_BUNDLE
	}
	b.client = s3.NewFromConfig(loaded, func(o *s3.Options) {
		if endpoint != "" {
			o.BaseEndpoint = &endpoint
		}
		o.UsePathStyle = o.BaseEndpoint != nil // a server of one's own has no name for each bucket
		if o.Region == "" && o.BaseEndpoint != nil {
			o.Region = anyRegion
		}
		o.Credentials = b.credentials
		o.HTTPSignerV4 = s3Signer{}
		o.HTTPClient = newClient(b.connections)
		o.Retryer = aws.NopRetryer{}
		// Many compatible servers reject the newer checksums. Every server verifies the SHA-256
		// of the payload that is signed, which the SDK would leave out over TLS.
		o.APIOptions = append(o.APIOptions, signPayload)
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		o.ContinueHeaderThresholdBytes = -1 // some proxies answer "Expect: 100-continue" late
	})
	if b.client.Options().Region == "" {
		return nil, errors.New("the region of the bucket is not known; add ?region=… to the URL, or set AWS_REGION")
	}
	return b, nil
}

var errNoETag = errors.New("the answer to a put has no ETag")

// signPayload replaces the step that decides whether to sign the payload by the one that does.
func signPayload(stack *middleware.Stack) error {
	always := &v4.ComputePayloadSHA256{}
	_, err := stack.Finalize.Swap(always.ID(), always)
	return err
}

func (b *s3Bucket) put(ctx context.Context, key string, body *payload) error {
	output, err := b.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &b.name, Key: &key, Body: body, ContentLength: &body.size,
		ContentType: aws.String("application/octet-stream"), IfNoneMatch: aws.String("*"),
	})
	if err == nil && output.ETag == nil {
		// A server or proxy that answers every request with 200 has stored nothing.
		err = fmt.Errorf("%w: %w", objectstore.ErrNoStore, errNoETag)
	}
	return err
}

func (b *s3Bucket) get(ctx context.Context, key string, offset, length int64) (content, error) {
	input := &s3.GetObjectInput{Bucket: &b.name, Key: &key}
	if length >= 0 {
		input.Range = aws.String(byteRange(offset, length))
	}
	output, err := b.client.GetObject(ctx, input)
	if err != nil {
		return content{}, err
	}
	found := content{body: output.Body, length: -1, total: -1}
	if output.ContentLength != nil {
		found.length = *output.ContentLength
	}
	found.total = totalSize(aws.ToString(output.ContentRange))
	return found, nil
}

// byteRange returns the value of the header Range.
func byteRange(offset, length int64) string {
	return fmt.Sprintf("bytes=%d-%d", offset, offset+length-1)
}

// totalSize returns the size of the object from the header Content-Range, such as
// "bytes 0-9/100"; -1 if it is missing.
func totalSize(contentRange string) int64 {
	_, total, _ := strings.Cut(contentRange, "/")
	if size, err := strconv.ParseInt(total, 10, 64); err == nil {
		return size
	}
	return -1
}

func (b *s3Bucket) size(ctx context.Context, key string) (int64, error) {
	output, err := b.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b.name, Key: &key})
	if err != nil {
		return 0, err
	}
	return aws.ToInt64(output.ContentLength), nil
}

func (b *s3Bucket) list(ctx context.Context, prefix, token string) (page []objectstore.Listed, next string, err error) {
	input := &s3.ListObjectsV2Input{Bucket: &b.name, Prefix: &prefix}
	if token != "" {
		input.ContinuationToken = &token
	}
	found, err := b.client.ListObjectsV2(ctx, input)
	if err != nil {
		return nil, "", err
	}
	for i := range found.Contents {
		page = append(page, objectstore.Listed{Key: aws.ToString(found.Contents[i].Key), Size: aws.ToInt64(found.Contents[i].Size)})
	}
	if aws.ToBool(found.IsTruncated) {
		next = aws.ToString(found.NextContinuationToken)
	}
	return page, next, nil
}

func (b *s3Bucket) remove(ctx context.Context, key string) error {
	_, err := b.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &b.name, Key: &key})
	return err
}

func (b *s3Bucket) renew() { b.credentials.Invalidate() }

func (b *s3Bucket) close() { b.connections.CloseIdleConnections() }
