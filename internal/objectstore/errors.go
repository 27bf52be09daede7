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

// Errors of stores that are reached over a network. Those that Passing names may go away by
// themselves. The others last until somebody changes the configuration, the credentials or the
// bucket.
var (
	// ErrThrottled means that the store limits the rate of requests.
	ErrThrottled = errors.New("the object store asks for fewer requests")
	// ErrUnreachable means that the store did not answer, or failed by itself. The request
	// may have taken effect, or may still take effect.
	ErrUnreachable = errors.New("the object store does not answer")
	// ErrConflict means that another request for the same key was under way. Nothing is known
	// about whether that one succeeds.
	ErrConflict = errors.New("the object store was busy with another request for this key")
	// ErrShort means that fewer bytes arrived than the object has.
	ErrShort = errors.New("the object store sent fewer bytes than it announced")
	// ErrDigest means that the store has received other bytes than were sent, and has
	// rejected them.
	ErrDigest = errors.New("the object store received other bytes than were sent")
	// ErrDenied means that the credentials are valid but do not allow the request.
	ErrDenied = errors.New("the object store denies the request")
	// ErrCredentials means that the store does not accept the credentials: they are unknown to
	// it, or the signature is wrong. ErrNoCredentials and ErrExpired are special cases of it.
	ErrCredentials = errors.New("there are no valid credentials for the object store")
	// ErrNoCredentials means that no credentials were found, or none could be obtained.
	ErrNoCredentials = fmt.Errorf("%w: none were found", ErrCredentials)
	// ErrExpired means that the credentials, or their session token, have expired.
	ErrExpired = fmt.Errorf("%w: they have expired", ErrCredentials)
	// ErrClock means that the store rejects requests because the clock of this machine
	// differs too much from its own.
	ErrClock = errors.New("the clock differs too much from that of the object store")
	// ErrNoBucket means that the bucket or container does not exist.
	ErrNoBucket = errors.New("the bucket does not exist")
	// ErrRegion means that the bucket is in another region. It may be a RegionError.
	ErrRegion = errors.New("the bucket is in another region")
	// ErrTLS means that no trusted connection could be established.
	ErrTLS = errors.New("no trusted connection to the object store")
	// ErrNotTLS means that the URL says https, and the server does not use TLS.
	ErrNotTLS = fmt.Errorf("%w: the server does not use TLS", ErrTLS)
	// ErrNoStore means that the answer does not come from an object store: another server
	// listens there, or a proxy has answered.
	ErrNoStore = errors.New("the answer does not come from an object store")
)

// RegionError is ErrRegion of a store that says in which region the bucket is.
type RegionError struct{ Region string }

// Error names the region.
func (e *RegionError) Error() string { return "the bucket is in the region " + e.Region }

// Is makes errors.Is find ErrRegion.
func (*RegionError) Is(target error) bool { return target == ErrRegion }

// Passing reports whether an error may go away by itself, so that a later attempt may succeed.
func Passing(err error) bool {
	for _, passing := range []error{ErrThrottled, ErrUnreachable, ErrConflict, ErrShort, ErrDigest} {
		if errors.Is(err, passing) {
			return true
		}
	}
	return false
}

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
