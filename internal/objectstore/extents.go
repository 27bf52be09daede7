package objectstore

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"laneway.dev/pkg/messages"
)

const (
	// maxSkip is how many unneeded bytes between two extents are read to save a request. They
	// are the headers of batches, or batches of other partitions.
	maxSkip = 64 << 10
	// RequestsAtOnce is how many requests of one [Extents.Read] run at the same time. In a store
	// with many partitions, the batches of one partition are in many objects, and a request to a
	// remote store takes long for any number of bytes.
	RequestsAtOnce = 16
	// bytesAtOnce bounds the bytes of all requests that run at the same time, with those that
	// are not needed.
	bytesAtOnce = 64 << 20
	// rereadPause is the time before content is read again that does not match its checksum.
	rereadPause = 50 * time.Millisecond
)

// ErrAltered means that content did not match its checksum, but not in the same way in [Reads]
// reads, so it may be altered on the way from the store. Another read may return what was stored.
var ErrAltered = errors.New("altered on the way from the object store")

// ExtentsConfig is what reading extents needs.
type ExtentsConfig struct {
	Store   Store
	Timeout time.Duration // of one request
	// Range bounds the bytes of one request, unless a single extent is longer.
	Range int64
	// Failed is called with the error of each request that has failed for a reason that may
	// pass, and Altered with that of each content that did not match its checksum. Both may be
	// nil, and are called by many goroutines.
	Failed, Altered func(error)
}

// Extents reads what is stored at extents: batch frames, and compressed blocks as they are
// stored. It reads neighbors in one object with one request, and repeats requests whose content
// is wrong, but none that has failed. It is safe for concurrent use.
type Extents struct {
	config ExtentsConfig
	bytes  *semaphore.Weighted // bytesAtOnce
}

// NewExtents returns a reader of extents.
func NewExtents(config ExtentsConfig) *Extents {
	return &Extents{config: config, bytes: semaphore.NewWeighted(bytesAtOnce)}
}

// wanted is an extent that is read.
type wanted struct {
	messages.Extent
	index    int // in the slice of the caller
	altered  Altered
	absences int   // reads for which the store did not have it
	why      error // not nil if what was read last does not match or is not there, and is read again
}

// Read reads what is stored at each of the extents, and calls done once for each, with its index
// in the slice and either its content, which matches the checksum, or an error. It calls done from
// several goroutines, and returns after the last call. The content may share memory with that of
// neighbors, if most of the memory is needed.
//
// Content that does not match its checksum, or is not there, is read again, because the store or
// the way to it may be at fault. It is damaged, see [IsDamage], if it is the same in Reads reads.
// Any other error may pass. After a request that failed for a reason that may pass, Read starts no
// other one, and the extents that are left have the error of that request.
func (e *Extents) Read(ctx context.Context, extents []messages.Extent, done func(i int, content []byte, err error)) {
	left := make([]wanted, len(extents))
	for i, x := range extents {
		left[i] = wanted{Extent: x, index: i}
	}
	slices.SortFunc(left, func(a, b wanted) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Offset, b.Offset))
	})
	e.readAll(ctx, left, done)
	for range Reads - 1 {
		left = slices.DeleteFunc(left, func(w wanted) bool { return w.why == nil })
		if len(left) == 0 || !pause(ctx, rereadPause) {
			break
		}
		e.readAll(WithNewConnection(ctx), left, done)
	}
	for i := range left {
		if left[i].why != nil {
			done(left[i].index, nil, left[i].why)
		}
	}
}

// readAll reads extents, which are sorted by key and offset, with one request for those that
// are close together in one object. It starts no request after one that has failed.
func (e *Extents) readAll(ctx context.Context, extents []wanted, done func(int, []byte, error)) {
	var group errgroup.Group
	group.SetLimit(RequestsAtOnce)
	var away atomic.Pointer[error]
	for len(extents) > 0 {
		n := e.adjacent(extents)
		near := extents[:n]
		extents = extents[n:]
		group.Go(func() error {
			var err error
			if failed := away.Load(); failed != nil {
				err = *failed
			} else if near, err = e.readTogether(ctx, near, done); err != nil {
				away.Store(&err)
			}
			for i := range near {
				near[i].why = nil
				done(near[i].index, nil, err)
			}
			return nil
		})
	}
	_ = group.Wait() // the functions return no errors
}

// adjacent returns how many of the extents, which are sorted by key and offset, are read by one
// request.
func (e *Extents) adjacent(extents []wanted) int {
	first := extents[0]
	end := first.Offset + first.Length
	for i, x := range extents[1:] {
		if x.Key != first.Key || x.Offset-end > maxSkip || x.Offset+x.Length-first.Offset > e.config.Range {
			return i + 1
		}
		end = max(end, x.Offset+x.Length)
	}
	return len(extents)
}

// readTogether reads extents that lie close together in one object. After an error that may pass,
// it returns that and the extents that it has not read because of it.
func (e *Extents) readTogether(ctx context.Context, extents []wanted, done func(int, []byte, error)) ([]wanted, error) {
	first := extents[0]
	end, needed := first.Offset, int64(0)
	for _, x := range extents {
		end = max(end, x.Offset+x.Length)
		needed += x.Length
	}
	content, err := e.readRange(ctx, first.Key, first.Offset, end-first.Offset)
	switch {
	case err == nil:
		for i := range extents {
			x := &extents[i]
			from := x.Offset - first.Offset
			part := content[from : from+x.Length : from+x.Length]
			if int64(len(content)) > 2*needed {
				part = bytes.Clone(part) // otherwise it keeps in memory what is not needed
			}
			e.take(x, part, done)
		}
		return nil, nil
	case !IsDamage(err):
		if e.config.Failed != nil && ctx.Err() == nil {
			e.config.Failed(err)
		}
		return extents, err
	case len(extents) == 1 || errors.Is(err, ErrNotFound):
		for i := range extents {
			extents[i].absent(err, done)
		}
		return nil, nil
	}
	// Perhaps only some of them are damaged or beyond a torn end.
	for i := range extents {
		if _, err := e.readTogether(ctx, extents[i:i+1], done); err != nil {
			return extents[i:], err
		}
	}
	return nil, nil
}

func (e *Extents) readRange(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, e.config.Timeout)
	defer cancel()
	room := min(length, bytesAtOnce)
	if err := e.bytes.Acquire(ctx, room); err != nil {
		return nil, fmt.Errorf("other reads take %d bytes: %w", bytesAtOnce, err)
	}
	defer e.bytes.Release(room)
	return e.config.Store.ReadRange(ctx, key, offset, length)
}

// take passes the content of an extent on if it matches the checksum.
func (e *Extents) take(x *wanted, content []byte, done func(int, []byte, error)) {
	err := Verify(x.Extent, content)
	if err == nil {
		x.why = nil
		done(x.index, content, nil)
		return
	}
	if e.config.Altered != nil {
		e.config.Altered(err)
	}
	x.failed(err, x.altered.Add(content), fmt.Errorf("%w: %s", ErrAltered, err.Error()), done)
}

// absent is called when the store says that it does not have the extent. A log refers to an
// object only after it was stored, and all stores have objects visible as soon as they are stored.
// But a single answer may come from a proxy, or from a part of a store that recovers.
func (w *wanted) absent(err error, done func(int, []byte, error)) {
	w.absences++
	w.failed(err, w.absences == Reads, unconfirmed{err}, done)
}

// failed ends the reads of an extent with the damage, or remembers why it is read again.
func (w *wanted) failed(damage error, final bool, why error, done func(int, []byte, error)) {
	if final {
		w.why = nil
		done(w.index, nil, damage)
		return
	}
	w.why = why
}

// unconfirmed is an error that would be damage if the store had answered so more often. It hides
// what it wraps from errors.Is.
type unconfirmed struct{ error }

// IsDamage reports whether an error of a read means that the object is not what was stored.
func IsDamage(err error) bool {
	_, corrupt := errors.AsType[*CorruptError](err)
	return corrupt || errors.Is(err, ErrNotFound)
}

// pause waits. It returns false if ctx has ended.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
