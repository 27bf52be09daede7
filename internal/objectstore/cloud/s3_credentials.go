package cloud

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"

	"laneway.dev/internal/objectstore"
)

// credentialsTimeout bounds a request for credentials or a token. Several requests to the store
// may wait for it, so no context of theirs bounds it.
const credentialsTimeout = 30 * time.Second

// newCredentials returns a cache of what read returns. The cache calls read once for all
// requests that need credentials at the same time, and ignores the deadlines of their contexts.
// Without a limit of its own, one server that hangs would block each later request.
func newCredentials(read func(context.Context) (aws.Credentials, error)) *aws.CredentialsCache {
	return aws.NewCredentialsCache(aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
		ctx, cancel := context.WithTimeout(ctx, credentialsTimeout)
		defer cancel()
		return read(ctx)
	}))
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
