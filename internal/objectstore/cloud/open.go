package cloud

import (
	"context"
	"fmt"

	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/objectstore/location"
)

// Open opens the store at a location. It sends no request to the store, but may read
// configuration files, and fails if they do not say enough.
func Open(ctx context.Context, at location.Remote) (objectstore.Store, error) {
	var opened bucket
	var err error
	switch at.Scheme {
	case "s3":
		opened, err = openS3(ctx, at)
	case "gs":
		opened, err = openGS(ctx, at)
	case "azblob":
		opened, err = openAzure(at)
	default:
		err = fmt.Errorf("there is no store of scheme %q", at.Scheme)
	}
	if err != nil {
		return nil, fmt.Errorf("open object store %s: %w", at, err)
	}
	return newStore(opened, at.Prefix), nil
}
