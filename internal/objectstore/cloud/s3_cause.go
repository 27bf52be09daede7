package cloud

import (
	"errors"
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

	"ExpiredToken":                       objectstore.ErrCredentials,
	"ExpiredTokenException":              objectstore.ErrCredentials,
	"InvalidAccessKeyId":                 objectstore.ErrCredentials,
	"InvalidToken":                       objectstore.ErrCredentials,
	"InvalidTokenId":                     objectstore.ErrCredentials,
	"SignatureDoesNotMatch":              objectstore.ErrCredentials,
	"XAdminUserNotFound":                 objectstore.ErrCredentials, // of versitygw, with status 404
	"TokenRefreshRequired":               objectstore.ErrCredentials,
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
	if errors.Is(err, objectstore.ErrCredentials) {
		return objectstore.ErrCredentials // none were found
	}
	if coded, ok := errors.AsType[smithy.APIError](err); ok {
		if cause := causeOfS3Error(err, coded); cause != nil {
			return cause
		}
	}
	if response, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		return causeOfStatus(response.HTTPStatusCode())
	}
	return nil
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
	case "NotFound":
		// This is the SDK's name for a 404 without a body. Only answers to HEAD have none.
		if operation, ok := errors.AsType[*smithy.OperationError](err); ok && operation.OperationName == "HeadObject" {
			return objectstore.ErrNotFound
		}
		return nil
	default:
		return s3Causes[code]
	}
}
