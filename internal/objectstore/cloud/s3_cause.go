package cloud

import (
	"errors"
	"net/http"
	"strings"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"laneway.dev/internal/objectstore"
)

// s3Causes has the causes of S3's error codes. Codes that are not listed are classified by
// the status of the response.
var s3Causes = map[string]error{
	"PreconditionFailed":         objectstore.ErrExists,
	"ConditionalRequestConflict": objectstore.ErrConflict,
	"OperationAborted":           objectstore.ErrConflict,

	"NoSuchKey":    objectstore.ErrNotFound,
	"NoSuchBucket": objectstore.ErrNoBucket,
	"InvalidRange": errRange,

	"SlowDown":             objectstore.ErrThrottled,
	"SlowDownRead":         objectstore.ErrThrottled,
	"SlowDownWrite":        objectstore.ErrThrottled,
	"Throttling":           objectstore.ErrThrottled,
	"ThrottlingException":  objectstore.ErrThrottled,
	"RequestLimitExceeded": objectstore.ErrThrottled,
	"TooManyRequests":      objectstore.ErrThrottled,

	"RequestTimeout": objectstore.ErrUnreachable, // the connection stood still; it has status 400
	"IncompleteBody": objectstore.ErrUnreachable,

	"AccessDenied": objectstore.ErrDenied,
	"Forbidden":    objectstore.ErrDenied,

	"ExpiredToken":                       objectstore.ErrExpired,
	"ExpiredTokenException":              objectstore.ErrExpired,
	"TokenRefreshRequired":               objectstore.ErrExpired,
	"InvalidAccessKeyId":                 objectstore.ErrCredentials,
	"InvalidToken":                       objectstore.ErrCredentials,
	"InvalidTokenId":                     objectstore.ErrCredentials,
	"SignatureDoesNotMatch":              objectstore.ErrCredentials,
	"XAdminUserNotFound":                 objectstore.ErrCredentials, // of versitygw, with status 404
	"UnrecognizedClientError":            objectstore.ErrCredentials,
	"InvalidClientTokenId":               objectstore.ErrCredentials,
	"RequestTimeTooSkewed":               objectstore.ErrClock,
	"RequestInTheFuture":                 objectstore.ErrClock,
	"RequestExpired":                     objectstore.ErrClock,
	"InvalidSignatureDate":               objectstore.ErrClock,
	"SignatureNotYetCurrent":             objectstore.ErrClock,
	"PermanentRedirect":                  objectstore.ErrRegion,
	"TemporaryRedirect":                  objectstore.ErrRegion,
	"Redirect":                           objectstore.ErrRegion,
	"MovedPermanently":                   objectstore.ErrRegion,
	"InvalidRegion":                      objectstore.ErrRegion,
	"IncorrectEndpoint":                  objectstore.ErrRegion,
	"IllegalLocationConstraintException": objectstore.ErrRegion,

	"BadDigest":                   objectstore.ErrDigest,
	"InvalidDigest":               objectstore.ErrDigest,
	"XAmzContentSHA256Mismatch":   objectstore.ErrDigest,
	"XAmzContentChecksumMismatch": objectstore.ErrDigest,
	"ContentSHA256Mismatch":       objectstore.ErrDigest,

	"InsufficientStorage":            objectstore.ErrFull,
	"QuotaExceeded":                  objectstore.ErrFull,
	"XMinioStorageFull":              objectstore.ErrFull,
	"XMinioAdminBucketQuotaExceeded": objectstore.ErrFull,
}

func (*s3Bucket) cause(err error) error {
	for _, known := range []error{objectstore.ErrCredentials, objectstore.ErrNoStore} {
		if errors.Is(err, known) {
			return known // there is no answer, or none of S3
		}
	}
	response, _ := errors.AsType[*awshttp.ResponseError](err)
	coded, isCoded := errors.AsType[smithy.APIError](err)
	switch {
	case isCoded && response != nil && isPage(response, coded):
		return objectstore.ErrNoStore
	case isCoded:
		if cause := causeOfS3Error(err, coded); cause != nil {
			return inRegion(cause, response)
		}
	}
	if response != nil {
		return inRegion(causeOfStatus(response.HTTPStatusCode()), response)
	}
	return nil
}

// isPage reports whether a response is a page of text or HTML, which means that something other
// than S3 has answered, such as a proxy. An error of S3 is XML with a code. Without a code, the SDK
// derives one from the status, such as "Forbidden". isPage returns false for statuses from 500 on,
// because a load balancer sends such a page while it has no server behind it.
func isPage(response *awshttp.ResponseError, coded smithy.APIError) bool {
	status, code := response.HTTPStatusCode(), coded.ErrorCode()
	if status >= http.StatusInternalServerError || code != strings.ReplaceAll(http.StatusText(status), " ", "") {
		return false
	}
	content := response.Response.Header.Get("Content-Type")
	if code == "Forbidden" {
		return strings.HasPrefix(content, "text/html")
	}
	return s3Causes[code] == nil && (strings.HasPrefix(content, "text/html") || strings.HasPrefix(content, "text/plain"))
}

// inRegion adds the region of the bucket to ErrRegion, if the response names it.
func inRegion(cause error, response *awshttp.ResponseError) error {
	if cause != objectstore.ErrRegion || response == nil { //nolint:errorlint // it is the value itself
		return cause
	}
	if region := response.Response.Header.Get("X-Amz-Bucket-Region"); region != "" {
		return &objectstore.RegionError{Region: region}
	}
	return cause
}

// causeOfS3Error returns the cause of an error code; nil if the code is not known.
func causeOfS3Error(err error, coded smithy.APIError) error {
	switch code := coded.ErrorCode(); code {
	case "AuthorizationHeaderMalformed":
		// The region is a part of what is signed, so a wrong one makes the header malformed.
		if strings.Contains(coded.ErrorMessage(), "region") {
			return objectstore.ErrRegion
		}
		return objectstore.ErrCredentials
	case "Found", "SeeOther":
		return objectstore.ErrNoStore // S3 never redirects in this way
	case "NotFound":
		// This is the SDK's name for a 404 without a body. Only answers to HEAD have none.
		if operation, ok := errors.AsType[*smithy.OperationError](err); ok && operation.OperationName == "HeadObject" {
			return objectstore.ErrNotFound
		}
		return objectstore.ErrNoStore
	default:
		return s3Causes[code]
	}
}
