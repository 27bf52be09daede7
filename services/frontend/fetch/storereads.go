package fetch

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	core "laneway.dev/services/frontend/core/fetch"
)

// logInterval is the least time between two log lines about the same kind of fault.
const logInterval = time.Minute

// storeReader reads payloads from the object store for all fetches. It never repeats a request
// that has failed, which the core decides. It is safe for concurrent use.
type storeReader struct {
	extents *objectstore.Extents
	blocks  *blockCache
	log     *zap.Logger

	altered           atomic.Uint64 // payloads that did not match their checksum when they were read
	failing, altering seldom
}

func newStoreReader(config Config, blocks *blockCache) *storeReader {
	r := &storeReader{blocks: blocks, log: config.Logger}
	r.extents = objectstore.NewExtents(objectstore.ExtentsConfig{
		Store: config.Store, Timeout: config.StoreTimeout, Range: core.MaxRange, Failed: r.logFailed, Altered: r.logAltered,
	})
	return r
}

// read reads the missing payloads of a load.
func (r *storeReader) read(ctx context.Context, l load) {
	stored := make([]messages.Extent, len(l.missing))
	for i := range l.missing {
		stored[i] = l.missing[i].Extent
	}
	r.extents.Read(ctx, stored, func(i int, content []byte, err error) {
		if m := &l.missing[i]; err == nil {
			r.open(m, content)
		} else {
			m.fail(r.explain(ctx, m.Extent, err))
		}
	})
}

// open sets the payloads of an extent whose content matches the checksum. It decompresses a
// block once for all of its batches.
func (r *storeReader) open(m *missing, content []byte) {
	if !m.Compressed() {
		*m.frames[0].payload = core.Payload{Bytes: content}
		return
	}
	block, err := objectstore.Decompress(m.Extent, content)
	if err != nil {
		wrong := damage(m.Extent, err) // it was stored so
		r.blocks.putDamage(m.Extent, wrong)
		m.fail(wrong)
		return
	}
	r.blocks.put(m.Extent, block)
	m.unpack(block)
}

// explain converts an error of a read, and remembers damaged blocks. A missing object is looked
// for each time, because it may be put back.
func (r *storeReader) explain(ctx context.Context, x messages.Extent, err error) *protocol.Error {
	switch {
	case objectstore.IsDamage(err):
		wrong := damage(x, err)
		if x.Compressed() && !errors.Is(err, objectstore.ErrNotFound) {
			r.blocks.putDamage(x, wrong)
		}
		return wrong
	case ctx.Err() != nil:
		return protocol.AsError(context.Cause(ctx))
	case errors.Is(err, objectstore.ErrAltered):
		return protocol.Errorf(protocol.CodeStoreUnavailable, "a batch is %v", err)
	}
	return protocol.Errorf(protocol.CodeStoreUnavailable, "a batch could not be read: %v", err)
}

func (r *storeReader) logFailed(err error) {
	if n, due := r.failing.due(); due {
		r.log.Warn("payloads cannot be read from the object store; the fetches wait and read them again",
			zap.Uint64("requests", n), zap.Error(err))
	}
}

func (r *storeReader) logAltered(err error) {
	r.altered.Add(1)
	if n, due := r.altering.due(); due {
		r.log.Warn("a payload from the object store does not match its checksum; it is read again",
			zap.Uint64("payloads", n), zap.Error(err))
	}
}

func damage(x messages.Extent, err error) *protocol.Error {
	if errors.Is(err, objectstore.ErrNotFound) {
		return protocol.Errorf(protocol.CodeCorrupt, "object %q, which holds a batch at offset %d, length %d, is missing", x.Key, x.Offset, x.Length)
	}
	return protocol.NewError(protocol.CodeCorrupt, err.Error())
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
