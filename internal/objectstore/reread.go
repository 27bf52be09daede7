package objectstore

import (
	"context"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"

	"laneway.dev/pkg/messages"
)

// patience is how long Read and a Reader repeat a request that fails for a reason that may pass.
const patience = time.Minute

// requestTime returns how long a request for so many bytes may take. A server may send the header
// of a response and then nothing. Each MiB has a second more, because frames can be large.
func requestTime(length int64) time.Duration {
	return 30*time.Second + time.Duration(length>>20)*time.Second
}

// maxReads bounds the reads of a batch by Read if its content is wrong in another way each time.
const maxReads = 100

// Reads is how often the same wrong content is read before it counts as damaged. Each further
// read SHOULD use [WithNewConnection].
const Reads = 3

// Altered collects the reads of one batch whose content did not match its checksum. Damage
// is the same in each read. Bits that flip in transit differ. Example: if three in ten
// responses are altered, three reads in a row are altered for every 37th batch, but not in
// the same way.
type Altered struct {
	sum   uint32
	reads int // in a row with this checksum
}

// Add records content that does not match, and reports whether it is damaged.
func (a *Altered) Add(content []byte) (damaged bool) {
	if sum := Checksum(content); a.reads == 0 || sum != a.sum {
		a.sum, a.reads = sum, 0
	}
	a.reads++
	return a.reads >= Reads
}

type newConnection struct{}

// WithNewConnection returns a context for a read that follows one with wrong content. A store
// that is reached over a network SHOULD NOT send this request over a connection that it has
// used before, because the fault may be on the way of that connection.
func WithNewConnection(ctx context.Context) context.Context {
	return context.WithValue(ctx, newConnection{}, true)
}

// WantsNewConnection reports whether the context is one of WithNewConnection.
func WantsNewConnection(ctx context.Context) bool { return ctx.Value(newConnection{}) != nil }

// Frames reads batch frames and compares them with their checksums. It is for commands that
// look at many objects, and repeats requests so that no passing fault looks like damage: for a
// minute after errors that may pass, and until content that does not match is the same in Reads
// reads. It keeps the block that it has read last, because neighboring batches are often in the
// same one. It belongs to one goroutine.
type Frames struct {
	store Store

	last  messages.Extent // of a block; zero if none was read
	block []byte          // decompressed
	err   error           // why the block cannot be read
}

// NewFrames returns a reader of the batches in a store.
func NewFrames(store Store) *Frames { return &Frames{store: store} }

// Read returns the frame of a batch. Damage is a *CorruptError or ErrNotFound.
func (f *Frames) Read(ctx context.Context, extent messages.Extent) ([]byte, error) {
	if !extent.Compressed() {
		return readStored(ctx, f.store, extent)
	}
	if stored := extent.Stored(); f.last != stored {
		content, err := readStored(ctx, f.store, stored)
		f.last, f.block, f.err = stored, nil, err
		if err == nil {
			f.block, f.err = Decompress(stored, content)
		}
	}
	if f.err != nil {
		if ctx.Err() != nil || Passing(f.err) {
			f.last = messages.Extent{} // it may be read later
		}
		return nil, f.err
	}
	return Frame(extent, f.block)
}

// readStored reads what is stored at an extent.
func readStored(ctx context.Context, store Store, extent messages.Extent) ([]byte, error) {
	var altered Altered
	for reads := 1; ; reads++ {
		content, err := readPatiently(ctx, store, extent.Key, extent.Offset, extent.Length)
		if err != nil {
			return nil, err
		}
		if err = Verify(extent, content); err == nil {
			return content, nil
		}
		if altered.Add(content) || reads == maxReads {
			return nil, err
		}
		ctx = WithNewConnection(ctx)
	}
}

// readPatiently reads a range, and repeats the request after a fault that may pass.
func readPatiently(ctx context.Context, store Store, key string, offset, length int64) ([]byte, error) {
	var last error
	content, err := backoff.Retry(ctx, func() ([]byte, error) {
		content, err := readOnce(ctx, store, key, offset, length)
		if last = err; err != nil && !Passing(err) {
			err = backoff.Permanent(err)
		}
		return content, err
	}, backoff.WithBackOff(backoff.NewExponentialBackOff()), backoff.WithMaxElapsedTime(patience))
	if err != nil && last != nil && ctx.Err() == nil {
		err = last
	}
	return content, err
}

// readOnce reads a range within requestTime. A request that takes longer may succeed later.
func readOnce(ctx context.Context, store Store, key string, offset, length int64) ([]byte, error) {
	attempt, cancel := context.WithTimeout(ctx, requestTime(length))
	defer cancel()
	content, err := store.ReadRange(attempt, key, offset, length)
	if err != nil && attempt.Err() != nil && ctx.Err() == nil && !Passing(err) {
		err = fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return content, err
}
