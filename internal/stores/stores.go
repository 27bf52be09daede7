// Package stores opens object stores by their location: a path, or a URL.
//
// It depends on the SDKs of all clouds, so only cmd/laneway and tests import it. Everything
// else uses the interface objectstore.Store.
package stores

import (
	"context"
	"fmt"
	"strings"

	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/objectstore/cloud"
)

// Open opens the store that location names. A path and a URL of the form file:///absolute/path
// are folders, and are created if need be; see objectstore.Open for them and for keepFree.
// The other URLs are those of package cloud, and send no request yet.
func Open(ctx context.Context, location string, keepFree int64) (objectstore.Store, error) {
	if IsLocal(location) {
		return objectstore.Open(location, keepFree)
	}
	return openCloud(ctx, location)
}

// OpenExisting opens a store for reading. Unlike Open, it fails if a folder does not exist.
func OpenExisting(ctx context.Context, location string) (objectstore.Store, error) {
	if IsLocal(location) {
		return objectstore.OpenExisting(location)
	}
	return openCloud(ctx, location)
}

func openCloud(ctx context.Context, location string) (objectstore.Store, error) {
	parsed, err := parseCloud(location)
	if err != nil {
		return nil, err
	}
	return cloud.Open(ctx, parsed)
}

// URL returns the full URL of the store that location names, without secrets. The error is
// the one that Open would return for this location. URL accesses neither files nor a network.
func URL(location string) (string, error) {
	if IsLocal(location) {
		return objectstore.URL(location)
	}
	parsed, err := parseCloud(location)
	return parsed.String(), err
}

// IsLocal reports whether a location is that of a folder, and not that of a store which is
// reached over a network.
func IsLocal(location string) bool {
	scheme, _, isURL := strings.Cut(location, "://")
	return !isURL || scheme == "file"
}

// parseCloud parses a URL. An error names only its scheme, because the rest may be secret.
func parseCloud(location string) (cloud.Location, error) {
	scheme, _, _ := strings.Cut(location, "://")
	for _, known := range cloud.Schemes() {
		if scheme == known {
			return cloud.Parse(location)
		}
	}
	return cloud.Location{}, fmt.Errorf("there is no object store with the scheme %q; use a path, file:///absolute/path, or a URL that begins with %s://",
		scheme, strings.Join(cloud.Schemes(), ":// or "))
}
