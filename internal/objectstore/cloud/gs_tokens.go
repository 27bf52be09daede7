package cloud

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
	"golang.org/x/sync/singleflight"
	"google.golang.org/api/storage/v1"

	"laneway.dev/internal/objectstore"
)

// gsTokens adds a token to each request. It finds the credentials again after forget, so that a
// replaced key file is read. It is safe for concurrent use.
type gsTokens struct {
	base   http.RoundTripper // of the requests with their token
	client *http.Client      // for tokens
	flight singleflight.Group
	source atomic.Pointer[oauth2.TokenSource] // nil: not found yet
}

func newGSTokens(base http.RoundTripper) *gsTokens {
	return &gsTokens{base: base, client: &http.Client{Timeout: credentialsTimeout}}
}

// RoundTrip implements http.RoundTripper. Unlike that of oauth2.Transport, the wait for a token
// ends with the context of the request.
func (t *gsTokens) RoundTrip(request *http.Request) (*http.Response, error) {
	token, err := t.token(request.Context())
	if err != nil {
		if request.Body != nil {
			_ = request.Body.Close()
		}
		return nil, err
	}
	request = request.Clone(request.Context())
	token.SetAuthHeader(request)
	return t.base.RoundTrip(request)
}

// token returns a token that is valid. All requests that wait share one request for a token,
// which only the timeout of the client bounds.
func (t *gsTokens) token(ctx context.Context) (*oauth2.Token, error) {
	select {
	case r := <-t.flight.DoChan("", func() (any, error) { return t.request() }):
		token, _ := r.Val.(*oauth2.Token)
		return token, r.Err
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for an access token: %w", ctx.Err())
	}
}

func (t *gsTokens) request() (*oauth2.Token, error) {
	source := t.source.Load()
	if source == nil {
		// The source uses this context for all its later requests.
		ctx := context.WithValue(context.Background(), oauth2.HTTPClient, t.client)
		found, err := google.FindDefaultCredentials(ctx, storage.DevstorageReadWriteScope)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", objectstore.ErrNoCredentials, err)
		}
		source = &found.TokenSource
		t.source.Store(source)
	}
	began := time.Now()
	token, err := (*source).Token()
	if err != nil && time.Since(began) >= credentialsTimeout {
		// The error of the library has only the text of the timeout.
		err = fmt.Errorf("%w after %v: %w", context.DeadlineExceeded, credentialsTimeout, err)
	}
	return token, err
}

func (t *gsTokens) forget() { t.source.Store(nil) }
