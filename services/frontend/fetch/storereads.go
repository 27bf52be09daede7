package fetch

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	core "laneway.dev/services/frontend/core/fetch"
)

const (
	// maxSkip is how many unneeded bytes between two extents are read to save a request. They
	// are the headers of batches, or batches of other partitions.
	maxSkip = 64 << 10
	// requestsAtOnce is how many requests of one load run at the same time. In a store with many
	// partitions, the batches of one partition are in many objects, and a request to a remote
	// store takes long for any number of bytes.
	requestsAtOnce = 16
	// bytesAtOnce bounds the bytes of all requests that run at the same time, with those that
	// are not needed.
	bytesAtOnce = 64 << 20
	// rereadPause is the time before content is read again that does not match its checksum.
	rereadPause = 50 * time.Millisecond
	// logInterval is the least time between two log lines about the same kind of fault.
	logInterval = time.Minute
)

// storeReader reads payloads from the object store for all fetches. It never repeats a request
// that has failed, which the core decides. It repeats requests whose content is wrong. It is
// safe for concurrent use.
type storeReader struct {
	store   objectstore.Store
	blocks  *blockCache
	timeout time.Duration // of one request
	log     *zap.Logger
	bytes   *semaphore.Weighted // bytesAtOnce

	altered           atomic.Uint64 // payloads that did not match their checksum when they were read
	failing, altering seldom
}

// read reads the missing payloads of a load. Content that does not match its checksum, or is
// not there, is read again, because the store or the way to it may be at fault. It is damaged if
// it is the same in objectstore.Reads reads. Otherwise the error is one that may pass.
func (r *storeReader) read(ctx context.Context, l load) {
	left := l.missing
	slices.SortFunc(left, func(a, b missing) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Offset, b.Offset))
	})
	r.readAll(ctx, left)
	for range objectstore.Reads - 1 {
		left = slices.DeleteFunc(slices.Clone(left), func(m missing) bool { return !m.again })
		if len(left) == 0 || !pause(ctx, rereadPause) {
			return
		}
		r.readAll(objectstore.WithNewConnection(ctx), left)
	}
}

// readAll reads extents, which are sorted by key and offset, with one request for those that
// are close together in one object. After a request that failed for a reason that may pass, it
// starts no other one.
func (r *storeReader) readAll(ctx context.Context, extents []missing) {
	var group errgroup.Group
	group.SetLimit(requestsAtOnce)
	var away atomic.Pointer[protocol.Error]
	for len(extents) > 0 {
		n := adjacent(extents)
		near := extents[:n]
		extents = extents[n:]
		group.Go(func() error {
			err := away.Load()
			if err == nil {
				err = r.readTogether(ctx, near)
			}
			if err != nil {
				away.Store(err)
				for i := range near {
					near[i].fail(err)
					near[i].again = false
				}
			}
			return nil
		})
	}
	_ = group.Wait() // the functions return no errors
}

// adjacent returns how many of the extents, which are sorted by key and offset,
// are read by one request.
func adjacent(extents []missing) int {
	first := extents[0]
	end := first.Offset + first.Length
	for i, x := range extents[1:] {
		if x.Key != first.Key || x.Offset-end > maxSkip || x.Offset+x.Length-first.Offset > core.MaxRange {
			return i + 1
		}
		end = max(end, x.Offset+x.Length)
	}
	return len(extents)
}

// readTogether reads extents that lie close together in one object. It returns an error that
// may pass, and sets no payload then.
func (r *storeReader) readTogether(ctx context.Context, extents []missing) *protocol.Error {
	first := extents[0]
	end := first.Offset
	for _, x := range extents {
		end = max(end, x.Offset+x.Length)
	}
	needed := int64(0)
	for _, x := range extents {
		needed += x.Length
	}
	content, err := r.readRange(ctx, first.Key, first.Offset, end-first.Offset)
	switch {
	case err == nil:
		for i := range extents {
			x := &extents[i]
			from := x.Offset - first.Offset
			part := content[from : from+x.Length : from+x.Length]
			if int64(len(content)) > 2*needed {
				part = bytes.Clone(part) // otherwise it keeps in memory what is not needed
			}
			r.take(x, part)
		}
		return nil
	case !isDamage(err):
		return r.failed(ctx, err)
	case len(extents) == 1 || errors.Is(err, objectstore.ErrNotFound):
		for i := range extents {
			r.absent(&extents[i], err)
		}
		return nil
	}
	// Perhaps only some of them are damaged or beyond a torn end.
	for i := range extents {
		if err := r.readTogether(ctx, extents[i:i+1]); err != nil {
			return err
		}
	}
	return nil
}

func (r *storeReader) readRange(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	room := min(length, bytesAtOnce)
	if err := r.bytes.Acquire(ctx, room); err != nil {
		return nil, fmt.Errorf("other reads take %d bytes: %w", bytesAtOnce, err)
	}
	defer r.bytes.Release(room)
	return r.store.ReadRange(ctx, key, offset, length)
}

// absent sets the error of an extent that the store does not have, as it says. A log refers to
// an object only after it was stored, and all stores have objects visible as soon as they are
// stored. But a single answer may come from a proxy, or from a part of a store that recovers.
func (r *storeReader) absent(x *missing, err error) {
	x.absences++
	x.again = x.absences < objectstore.Reads
	if x.again {
		x.fail(protocol.Errorf(protocol.CodeStoreUnavailable, "a batch could not be read: %v", err))
		return
	}
	x.fail(damage(x.Extent, err))
}

// take sets the payloads of an extent if the content matches the checksum, and otherwise their
// error.
func (r *storeReader) take(x *missing, content []byte) {
	err := objectstore.Verify(x.Extent, content)
	if err == nil {
		x.again = false
		r.open(x, content)
		return
	}
	x.again = !x.altered.Add(content)
	wrong := damage(x.Extent, err)
	if x.again {
		wrong = protocol.Errorf(protocol.CodeStoreUnavailable, "a batch is altered on the way from the object store: %v", err)
	} else if x.Compressed() {
		r.blocks.putDamage(x.Extent, wrong)
	}
	x.fail(wrong)
	r.altered.Add(1)
	if n, due := r.altering.due(); due {
		r.log.Warn("a payload from the object store does not match its checksum; it is read again",
			zap.Uint64("payloads", n), zap.Error(err))
	}
}

// open sets the payloads of an extent whose content matches the checksum. It decompresses a
// block once for all of its batches.
func (r *storeReader) open(x *missing, content []byte) {
	if !x.Compressed() {
		*x.frames[0].payload = core.Payload{Bytes: content}
		return
	}
	block, err := objectstore.Decompress(x.Extent, content)
	if err != nil {
		wrong := damage(x.Extent, err) // it was stored so
		r.blocks.putDamage(x.Extent, wrong)
		x.fail(wrong)
		return
	}
	r.blocks.put(x.Extent, block)
	x.unpack(block)
}

// failed logs an error of the store that may pass, and converts it.
func (r *storeReader) failed(ctx context.Context, err error) *protocol.Error {
	if ctx.Err() != nil {
		return protocol.AsError(context.Cause(ctx))
	}
	if n, due := r.failing.due(); due {
		r.log.Warn("payloads cannot be read from the object store; the fetches wait and read them again",
			zap.Uint64("requests", n), zap.Error(err))
	}
	return protocol.Errorf(protocol.CodeStoreUnavailable, "a batch could not be read: %v", err)
}

// isDamage reports whether an error of the store means that the object is not what was stored.
func isDamage(err error) bool {
	_, corrupt := errors.AsType[*objectstore.CorruptError](err)
	return corrupt || errors.Is(err, objectstore.ErrNotFound)
}

func damage(x messages.Extent, err error) *protocol.Error {
	if errors.Is(err, objectstore.ErrNotFound) {
		return protocol.Errorf(protocol.CodeCorrupt, "object %q, which holds a batch at offset %d, length %d, is missing", x.Key, x.Offset, x.Length)
	}
	return protocol.NewError(protocol.CodeCorrupt, err.Error())
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

// seldom bounds how often something that happens is logged. It is safe for concurrent use.
type seldom struct {
	count  atomic.Uint64 // since the last line
	logged atomic.Int64  // when the last line was written, in nanoseconds; 0 if none was
}

// due counts one occurrence. If a line is due, it returns how many it stands for.
func (s *seldom) due() (n uint64, due bool) {
	s.count.Add(1)
	now, last := time.Now().UnixNano(), s.logged.Load()
	if last != 0 && now-last < int64(logInterval) || !s.logged.CompareAndSwap(last, now) {
		return 0, false
	}
	return s.count.Swap(0), true
}
