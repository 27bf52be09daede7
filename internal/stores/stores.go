// Package stores opens object stores by their location: a path, or a URL.
//
// It depends on the SDKs of all clouds, so only cmd/laneway and tests import it. Everything
// else uses the interface objectstore.Store. What only checks or compares locations uses
// package location.
package stores

import (
	"context"

	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/objectstore/cloud"
	"laneway.dev/internal/objectstore/location"
)

// Open opens the store at a location. A path and a URL of the form file:///absolute/path
// are folders, and are created if need be; see objectstore.Open for them and for keepFree.
// The other URLs are those of package cloud, and send no request yet.
func Open(ctx context.Context, at string, keepFree int64) (objectstore.Store, error) {
	if location.IsLocal(at) {
		return objectstore.Open(at, keepFree)
	}
	return openCloud(ctx, at)
}

// OpenExisting opens a store for reading. Unlike Open, it fails if a folder does not exist.
func OpenExisting(ctx context.Context, at string) (objectstore.Store, error) {
	if location.IsLocal(at) {
		return objectstore.OpenExisting(at)
	}
	return openCloud(ctx, at)
}

func openCloud(ctx context.Context, at string) (objectstore.Store, error) {
	remote, err := location.ParseRemote(at)
	if err != nil {
		return nil, err
	}
	return cloud.Open(ctx, remote)
}
