package cloud

import (
	"errors"
	"net/http"
	"strings"

	"golang.org/x/oauth2"
	"google.golang.org/api/googleapi"

	"laneway.dev/internal/objectstore"
)

func (*gsBucket) cause(err error) error {
	if errors.Is(err, objectstore.ErrCredentials) {
		return objectstore.ErrCredentials // none were found
	}
	if token, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		return causeOfToken(token)
	}
	if response, ok := errors.AsType[*googleapi.Error](err); ok {
		return causeOfGS(response)
	}
	return nil
}

// causeOfToken returns why no token was issued.
func causeOfToken(err *oauth2.RetrieveError) error {
	switch {
	case err.Response != nil && err.Response.StatusCode >= http.StatusInternalServerError:
		return objectstore.ErrUnreachable
	case strings.Contains(string(err.Body), "iat and exp"):
		return objectstore.ErrClock // the times of the request for a token are wrong
	}
	return objectstore.ErrCredentials
}

// causeOfGS returns the cause of a response. Its reasons are too coarse, so that some causes
// are found in its text. A download has its error as plain text.
func causeOfGS(err *googleapi.Error) error {
	text := err.Message + err.Body
	for _, item := range err.Errors {
		switch item.Reason {
		case "rateLimitExceeded", "userRateLimitExceeded":
			return objectstore.ErrThrottled
		case "authError":
			return objectstore.ErrCredentials
		}
	}
	switch err.Code {
	case http.StatusNotFound:
		switch {
		case strings.Contains(text, "bucket does not exist"):
			return objectstore.ErrNoBucket
		case strings.Contains(text, "No such object"):
			return objectstore.ErrNotFound
		}
		return nil // perhaps not from a store at all
	case http.StatusBadRequest:
		if strings.Contains(text, "MD5 hash") {
			return objectstore.ErrDigest
		}
	}
	return causeOfStatus(err.Code)
}
