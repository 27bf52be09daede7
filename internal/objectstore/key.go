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
	return fmt.Sprintf("objects/%x/%s", id[len(id)-1]&0x0f, id), nil
}

// checkKey refuses keys that a file system would take for another path.
func checkKey(key string) error {
	if key == "." || path.Clean(key) != key || !filepath.IsLocal(key) {
		return fmt.Errorf("%q is not a key of an object", key)
	}
	return nil
}
