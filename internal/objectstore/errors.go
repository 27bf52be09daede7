package objectstore

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
)

var (
	// ErrExists is returned by Put for a key that already holds an object.
	ErrExists = errors.New("the object exists already")
	// ErrNotFound is returned by ReadRange for a key that holds no object.
	ErrNotFound = errors.New("the object does not exist")
	// ErrFull is returned by Put when the store has no room, or would use its reserve. A
	// later Put may succeed.
	ErrFull = errors.New("the object store is full")
	// ErrMedium is returned when the storage on which the store runs fails to read or
	// write.
	ErrMedium = errors.New("the storage of the object store failed")
)

// Damage names the part of an object that is not what was stored.
type Damage string

// The kinds of damage. An object whose end is missing is Torn: an upload that is under
// way, or whose process died, looks like that. Readers need only payloads; the other
// parts of an object serve repairs.
const (
	Torn    Damage = "torn"
	Foreign Damage = "foreign" // not an object of Laneway
	Header  Damage = "header"
	Index   Damage = "index" // or what it says does not fit the object
	Head    Damage = "head"  // of a batch
	Payload Damage = "payload"
)

// CorruptError says that bytes of an object are not what was stored: missing,
// altered, or not an object at all.
type CorruptError struct {
	Damage Damage
	Key    string // key of the object
	Offset int64  // first byte of the range concerned
	Length int64  // length of the range in bytes
	Reason string // what is wrong with it
}

// Error names the object, the range and the reason.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("object %q is corrupt at offset %d, length %d: %s", e.Key, e.Offset, e.Length, e.Reason)
}

// classify wraps an error of the system in the matching error of the store, so that
// callers need not know the errors of the system.
func classify(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%w: %w", ErrFull, err)
	case errors.Is(err, syscall.EIO):
		return fmt.Errorf("%w: %w", ErrMedium, err)
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%w: %w", ErrExists, err)
	default:
		return err
	}
}
