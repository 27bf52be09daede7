package objectstore

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	core "laneway.dev/internal/core/generation"
)

// Kind is what an object holds. Its value is how the keys of this kind start, so it can be
// passed to Store.List as a prefix.
type Kind string

const (
	// KindBatches is an object with the batches of many partitions, as a stager uploads it.
	KindBatches Kind = "o/"
	// KindUndated is an object with batches whose key names no generation.
	KindUndated Kind = "objects/"
	// KindSegment is an object with a part of the log of one partition.
	KindSegment Kind = "s/"
	// KindManifest is an object that lists segments.
	KindManifest Kind = "m/"
	// KindRecord is an object that says what a sweep of the store has gone by.
	KindRecord Kind = "r/"
)

// Kinds returns all kinds.
func Kinds() []Kind { return []Kind{KindBatches, KindUndated, KindSegment, KindManifest, KindRecord} }

// HasBatches reports whether an object of this kind has batches of many partitions.
func (k Kind) HasBatches() bool { return k == KindBatches || k == KindUndated }

// NewKey returns a new key of an object with batches that belongs to no generation,
// objects/<hex digit>/<ULID>. Logs accept no batch from it once they have a watermark. Keys of one
// hex digit sort by time, to the millisecond; the digit is random and spreads load over
// prefixes. Keys are unique across processes by 80 random bits per millisecond,
// taken from entropy, or from crypto/rand if it is nil. NewKey is safe for
// concurrent use if entropy is.
func NewKey(now time.Time, entropy io.Reader) (string, error) {
	id, err := newID(now, entropy)
	if err != nil {
		return "", err
	}
	return keyOf(id), nil
}

// NewBatchesKey returns a new key of an object with batches, o/<generation>/<ULID>, where the
// generation has 16 hexadecimal digits. A listing can therefore be limited to one generation. The
// generation MUST NOT be 0. Otherwise it is like NewKey.
func NewBatchesKey(generation uint64, now time.Time, entropy io.Reader) (string, error) {
	return newGenerationKey(KindBatches, generation, now, entropy)
}

// NewSegmentKey returns a new key of a segment, s/<generation>/<ULID>. It is like NewBatchesKey.
func NewSegmentKey(generation uint64, now time.Time, entropy io.Reader) (string, error) {
	return newGenerationKey(KindSegment, generation, now, entropy)
}

// NewManifestKey returns a new key of a manifest, m/<generation>/<ULID>. It is like NewBatchesKey.
func NewManifestKey(generation uint64, now time.Time, entropy io.Reader) (string, error) {
	return newGenerationKey(KindManifest, generation, now, entropy)
}

// NewRecordKey returns a new key of the record of a sweep, r/<generation>/<ULID>. It is like
// NewBatchesKey.
func NewRecordKey(generation uint64, now time.Time, entropy io.Reader) (string, error) {
	return newGenerationKey(KindRecord, generation, now, entropy)
}

func newGenerationKey(kind Kind, generation uint64, now time.Time, entropy io.Reader) (string, error) {
	if generation == 0 {
		return "", errors.New("new object key: the generation is 0")
	}
	id, err := newID(now, entropy)
	if err != nil {
		return "", err
	}
	return generationKey(kind, generation, id), nil
}

func newID(now time.Time, entropy io.Reader) (ulid.ULID, error) {
	if entropy == nil {
		entropy = rand.Reader
	}
	id, err := ulid.New(ulid.Timestamp(now), entropy)
	if err != nil {
		return id, fmt.Errorf("new object key: %w", err)
	}
	return id, nil
}

func keyOf(id ulid.ULID) string {
	return fmt.Sprintf("%s%x/%s", KindUndated, id[len(id)-1]&0x0f, id)
}

func generationKey(kind Kind, generation uint64, id ulid.ULID) string {
	return GenerationPrefix(kind, generation) + id.String()
}

// GenerationPrefix returns what the keys of one kind and generation begin with.
func GenerationPrefix(kind Kind, generation uint64) string {
	return fmt.Sprintf("%s%0*x/", kind, core.Digits, generation)
}

// KeyKind returns the kind of an object; "" if no function of this package returns such a key.
func KeyKind(key string) Kind {
	id, err := ulid.ParseStrict(path.Base(key))
	if err != nil {
		return ""
	}
	kind, generation := splitKey(key)
	switch {
	case generation > 0 && key == generationKey(kind, generation, id):
		return kind
	case key == keyOf(id):
		return KindUndated
	}
	return ""
}

// splitKey returns the kind and the generation of a key, or of the folder of one, that names both. For
// any other key the generation is 0.
func splitKey(key string) (Kind, uint64) {
	for _, kind := range []Kind{KindBatches, KindSegment, KindManifest, KindRecord} {
		if rest, ok := strings.CutPrefix(key, string(kind)); ok {
			return kind, core.Parse(rest)
		}
	}
	return "", 0
}

// IsKey reports whether a key is one of an object, of any kind.
func IsKey(key string) bool { return KeyKind(key) != "" }

// KeyGeneration returns the generation of an object, and 0 for a key that names none.
func KeyGeneration(key string) uint64 {
	if !IsKey(key) {
		return 0
	}
	_, generation := splitKey(key)
	return generation
}

// KeyTime returns when a key was made, to the millisecond; the zero time
// for what is not a key.
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
