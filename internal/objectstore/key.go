package objectstore

import (
	"crypto/rand"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"time"

	"github.com/oklog/ulid/v2"
)

// NewKey returns a new key, objects/<hex digit>/<ULID>. Keys of one hex digit
// sort by time, to the millisecond; the digit is random and spreads load over
// prefixes. Keys are unique across processes by 80 random bits per millisecond,
// taken from entropy, or from crypto/rand if it is nil. NewKey is safe for
// concurrent use if entropy is.
func NewKey(now time.Time, entropy io.Reader) (string, error) {
	if entropy == nil {
		entropy = rand.Reader
	}
	id, err := ulid.New(ulid.Timestamp(now), entropy)
	if err != nil {
		return "", fmt.Errorf("new object key: %w", err)
	}
	return keyOf(id), nil
}

// KeyPrefix is how all keys of NewKey start.
const KeyPrefix = "objects/"

func keyOf(id ulid.ULID) string { return fmt.Sprintf(KeyPrefix+"%x/%s", id[len(id)-1]&0x0f, id) }

// IsKey reports whether NewKey may have returned the key.
func IsKey(key string) bool {
	id, err := ulid.ParseStrict(path.Base(key))
	return err == nil && key == keyOf(id)
}

// KeyTime returns when a key of NewKey was made, to the millisecond; the zero time
// for any other key.
func KeyTime(key string) time.Time {
	id, err := ulid.ParseStrict(path.Base(key))
	if err != nil {
		return time.Time{}
	}
	return id.Timestamp()
}

// CheckKey rejects keys that a file system would resolve to another path. Every store
// rejects them, so that all stores have the same keys.
func CheckKey(key string) error {
	if key == "." || path.Clean(key) != key || !filepath.IsLocal(key) {
		return fmt.Errorf("%q is not a key of an object", key)
	}
	return nil
}
