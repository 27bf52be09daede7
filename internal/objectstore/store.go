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

// Store holds immutable objects under keys. A log refers to them, so what Put has
// stored must still be there, unchanged, when the log is read years later.
//
// Errors name the operation and the object, and wrap one of the errors of this package if the
// cause is known.
//
// All methods except Close are safe for concurrent use; many Puts at the same time are
// the normal case. There is no order between concurrent calls. A ReadRange that starts
// after a Put has returned nil finds the object.
type Store interface {
	// Put stores the parts, one after the other, as one object.
	//
	//   - It MUST NOT return nil before the object is durable: a crash of the process
	//     or of the machine does not lose it.
	//   - It MUST NOT replace an object. If the key is in use, the error is ErrExists.
	//   - It MUST NOT change or keep the parts.
	//   - After any other error, the key may or may not have an object, which may be
	//     incomplete. The caller MUST NOT refer to the key, and MUST use a new one for
	//     the next attempt.
	//
	// ctx is checked between steps. If Put returns nil, the object is stored even if ctx
	// has ended since.
	Put(ctx context.Context, key string, parts [][]byte) error

	// Room returns an error that wraps ErrFull if the next Put would be refused for lack of room,
	// and nil if that is not known without trying. It is cheap.
	Room() error

	// ReadRange returns exactly length bytes of an object, from offset on, in a slice
	// that the caller owns. The error is ErrNotFound for an unknown key, and a
	// *CorruptError if the object does not have the range. It is ErrShort if the transfer
	// ended early; another attempt may then return the whole range. The bytes are not checked:
	// the caller MUST compare them with a CRC, see Verify.
	ReadRange(ctx context.Context, key string, offset, length int64) ([]byte, error)

	// List iterates over the objects whose keys start with the prefix; "" means all, and a Kind
	// those of one kind. It yields only keys for which IsKey is true, in no particular order.
	// Other files, such as the marker of the store, are left out.
	//
	// A listed object is not necessarily complete or referred to: a Put may be in
	// progress, or may have been interrupted by a crash. Objects that are put during the
	// iteration may or may not be listed. An error stands for what could not be listed; a
	// caller that continues gets the rest.
	List(ctx context.Context, prefix string) iter.Seq2[Listed, error]

	// Delete removes an object. It returns nil if there is none. When it returns nil, a crash
	// does not bring the object back. After an error the object may still be there. Only keys
	// for which IsKey is true can be deleted.
	Delete(ctx context.Context, key string) error

	// Below returns the part of the store in which the cluster with this id has its objects.
	// Its keys are relative to that part. A store whose Mark is certain to fail for all
	// clusters but one returns itself. The other stores have a part for each cluster, so that
	// clusters that share a store by mistake do not touch each other's objects. The marker is
	// outside these parts: the part has the same marker as the store. With "" the result is
	// the store itself. The store MUST stay open while the part is used, and closing the part
	// has no effect.
	Below(cluster string) Store

	// Mark writes the marker of the store, which names the cluster that the store belongs to.
	// It MUST NOT return nil before the marker is durable, and MUST NOT replace one. If the
	// store has a marker, the error is ErrExists, and that marker is durable.
	Mark(ctx context.Context, content []byte) error

	// Marker returns the whole marker of the store, or ErrNotFound.
	Marker(ctx context.Context) ([]byte, error)

	// Close frees the resources of the store. The caller MUST NOT call it before all
	// other calls have returned.
	Close() error
}

// Open opens the store in the folder that location names: a path, or a URL of the
// form file:///absolute/path. It creates the folder if it does not exist. A Put that would
// leave less than keepFree bytes free on the file system changes nothing and returns
// ErrFull. With 0 the store may fill the file system.
func Open(location string, keepFree int64) (Store, error) {
	root, err := localRoot(location)
	if err != nil {
		return nil, err
	}
	return openLocal(root, keepFree, systemDisk)
}

// URL returns the full URL of the store that location names. The error is the one that
// Open would return for this location. URL accesses no file.
func URL(location string) (string, error) {
	root, err := localRoot(location)
	if err != nil {
		return "", err
	}
	return (&url.URL{Scheme: "file", Path: root}).String(), nil
}

// OpenExisting opens a store for reading. Unlike Open, it fails if the folder does not
// exist.
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

// localRoot returns the absolute path of the folder that location names. An error about a
// remote URL names only its scheme, because the URL may contain a password.
func localRoot(location string) (string, error) {
	if location == "" {
		return "", errors.New("object store: no location given; use file:///absolute/path or a path")
	}
	scheme, _, isURL := strings.Cut(location, "://")
	if !isURL && !strings.HasPrefix(location, "file:") {
		return filepath.Abs(location)
	}
	if isURL && scheme != "file" {
		return "", fmt.Errorf("object store: a store with the scheme %q is not a folder; use file:///absolute/path or a path", scheme)
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
