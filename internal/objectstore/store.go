package objectstore

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// Store holds immutable objects under keys. All methods are safe for concurrent
// use; many Puts at once are the normal case.
type Store interface {
	// Put stores the parts, one after the other, as one object. It MUST NOT
	// return nil before the object is durable, and it never replaces an object:
	// a key that is taken is refused with ErrExists. After any other error the
	// key may or may not hold an object, which then is an orphan: the caller
	// must not refer to it. The parts are not changed and not kept.
	//
	// The context is looked at between steps; a Put that returns nil has stored
	// the object even if the context has ended meanwhile.
	Put(ctx context.Context, key string, parts [][]byte) error

	// ReadRange returns exactly length bytes from offset on, in a slice that
	// the caller owns. An unknown key is ErrNotFound; a range that the object
	// does not have is a *CorruptError. Nothing is checked against a CRC here:
	// see Verify.
	ReadRange(ctx context.Context, key string, offset, length int64) ([]byte, error)

	// List iterates over the objects whose keys begin with the prefix, and which
	// NewKey has named, in no particular order; "" is all of them. Files that are no
	// objects, such as the marker of a store, are left out. What is listed need not
	// be referred to by anything, nor be whole: a Put that is under way, or that died
	// with its process, may have left it. Objects that are put meanwhile may or may
	// not be among them. An error stands for what could not be listed; a caller that
	// continues gets the rest.
	List(ctx context.Context, prefix string) iter.Seq2[Listed, error]

	// Mark gives the store a marker, which says whose store it is. It MUST NOT return
	// nil before the marker is durable, and it never replaces one: a store that has a
	// marker is refused with ErrExists, and the marker that it has is durable then.
	Mark(ctx context.Context, content []byte) error

	// Marker returns the marker of the store, or ErrNotFound. It is never torn.
	Marker(ctx context.Context) ([]byte, error)

	// Close releases what the store holds. Calls under way must have returned.
	Close() error
}

// Open opens the store that location names: a path, or a URL of the form
// file:///absolute/path. The folder is made if it is not there. While its file
// system would have less than keepFree bytes left after a Put, the Put is
// refused with ErrFull and changes nothing; 0 uses up what there is.
func Open(location string, keepFree int64) (Store, error) {
	root, err := localRoot(location)
	if err != nil {
		return nil, err
	}
	return openLocal(root, keepFree, systemDisk)
}

// URL returns the full URL of the store that location names, or what Open would say of
// the location itself. It touches nothing.
func URL(location string) (string, error) {
	root, err := localRoot(location)
	if err != nil {
		return "", err
	}
	return (&url.URL{Scheme: "file", Path: root}).String(), nil
}

// OpenExisting opens a store as Open does, but only if its folder is there: to read
// from.
func OpenExisting(location string) (Store, error) {
	root, err := localRoot(location)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(root)
	if err != nil {
		return nil, fmt.Errorf("open object store in %s: %w", root, err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("open object store in %s: it is not a folder", root)
	}
	return openLocal(root, 0, systemDisk)
}

// localRoot returns the absolute path of the folder that location names.
// Errors name the scheme alone where the URL might carry a password.
func localRoot(location string) (string, error) {
	if location == "" {
		return "", errors.New("object store: no location given; use file:///absolute/path or a path")
	}
	scheme, _, isURL := strings.Cut(location, "://")
	if !isURL && !strings.HasPrefix(location, "file:") {
		return filepath.Abs(location)
	}
	if isURL && scheme != "file" {
		return "", fmt.Errorf("object store: remote stores are not supported yet (scheme %q); use file:///absolute/path or a path", scheme)
	}
	parsed, err := url.Parse(location)
	if err != nil {
		return "", fmt.Errorf("object store: %w", err)
	}
	if parsed.Host != "" || parsed.Opaque != "" || parsed.Path == "" {
		return "", fmt.Errorf("object store: %q does not name an absolute path; use file:///absolute/path or a path", location)
	}
	if parsed.RawQuery != "" || parsed.ForceQuery || parsed.Fragment != "" {
		return "", fmt.Errorf("object store: %q carries options, a local store has none", location)
	}
	return filepath.Clean(parsed.Path), nil
}
