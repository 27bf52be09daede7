package cloud

import (
	"context"
	"fmt"

	"laneway.dev/internal/objectstore"
)

// Open opens the store at a location. It sends no request to the store, but may read
// configuration files, and fails if they do not say enough.
func Open(ctx context.Context, location Location) (objectstore.Store, error) {
	var opened bucket
	var err error
	switch location.Scheme {
	case "s3":
		opened, err = openS3(ctx, location)
	case "gs":
		opened, err = openGS(ctx, location)
	case "azblob":
		opened, err = openAzure(location)
	default:
		err = fmt.Errorf("there is no store of scheme %q", location.Scheme)
	}
	if err != nil {
		return nil, fmt.Errorf("open object store %s: %w", location, err)
	}
	return newStore(opened, location.Prefix), nil
}
