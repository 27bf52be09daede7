package cloud

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"

	"laneway.dev/internal/objectstore"
)

// credentialsTimeout bounds a request for credentials or a token. Several requests to the store
// may wait for it, so no context of theirs bounds it.
const credentialsTimeout = 30 * time.Second

// renewEarly is how long before their end credentials are read again, so that no request is on
// its way when they expire.
const renewEarly = 5 * time.Minute

// newCredentials returns a cache of what read returns. The cache calls read once for all
// requests that need credentials at the same time, and ignores the deadlines of their contexts.
// Without a limit of its own, one server that hangs would block each later request. If a renewal
// fails, the credentials are used until they expire, and read again in between.
func newCredentials(read func(context.Context) (aws.Credentials, error)) *aws.CredentialsCache {
	var last aws.Credentials // the cache makes one call at a time
	return aws.NewCredentialsCache(aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
		ctx, cancel := context.WithTimeout(ctx, credentialsTimeout)
		defer cancel()
		found, err := read(ctx)
		switch {
		case err == nil:
			last = found
		case last.CanExpire && time.Now().Before(last.Expires):
			found, err = last, nil
		}
		if found.CanExpire {
			found.Expires = renewAt(time.Now(), found.Expires)
		}
		return found, err
	}))
}

// renewAt returns when to renew credentials. Some sources return the same ones until shortly
// before their end, so each time at least half of what is left passes first. Otherwise each
// request would read them again.
func renewAt(now, expires time.Time) time.Time {
	left := expires.Sub(now)
	return now.Add(max(left-renewEarly, left/2))
}

// credentialsReader returns a function that reads the credentials again from where they come
// from. The SDK alone reads files only once, and would not see that keys in them were replaced.
func credentialsReader(load []func(*config.LoadOptions) error) func(context.Context) (aws.Credentials, error) {
	// The SDK has caches of its own, whose requests continue after the context has ended.
	load = append([]func(*config.LoadOptions) error{
		config.WithHTTPClient(awshttp.NewBuildableClient().WithTimeout(credentialsTimeout)),
	}, load...)
	return func(ctx context.Context) (aws.Credentials, error) {
		found := aws.Credentials{}
		loaded, err := config.LoadDefaultConfig(ctx, load...)
		if err == nil {
			found, err = loaded.Credentials.Retrieve(ctx)
		}
		switch {
		case err == nil:
			return found, nil
		case ctx.Err() != nil:
			return aws.Credentials{}, fmt.Errorf("there are no credentials after %v: %w", credentialsTimeout, err)
		}
		return aws.Credentials{}, fmt.Errorf("%w: %w", objectstore.ErrNoCredentials, err)
	}
}

// s3Signer signs each request with a signer of its own. A signer of the SDK keeps what it has
// derived from a secret until the next day, and finds it by the id of the key. It would not notice
// that a server has given the key another secret.
type s3Signer struct{}

// SignHTTP implements s3.HTTPSignerV4.
func (s3Signer) SignHTTP(
	ctx context.Context, key aws.Credentials, r *http.Request, hash, service, region string, at time.Time, options ...func(*v4.SignerOptions),
) error {
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true }) // S3 does not escape twice
	return signer.SignHTTP(ctx, key, r, hash, service, region, at, options...)
}
