package fetch

import (
	"context"
	"errors"
	"math/rand/v2"

	"laneway.dev/internal/core/layout"
	"laneway.dev/internal/history"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	core "laneway.dev/services/frontend/core/fetch"
)

// newHistoryReader returns the reader of what is archived. It reports faults of the store as
// reads of payloads do.
func newHistoryReader(c Config, payloads *storeReader) *history.Reader {
	return history.New(history.Config{
		Store: c.Store, CacheBytes: c.CacheBytes / 16, Timeout: c.StoreTimeout,
		Failed: payloads.logFailed, Altered: payloads.logAltered,
	})
}

// Segments returns the size of the history of a partition. It reads the manifest, unless that is in
// memory.
func (s *Server) Segments(ctx context.Context, id protocol.Partition, h messages.History) (history.Size, error) {
	return s.history.Size(ctx, h, id)
}

// narrow answers a Narrow.
func (f *fetch) narrow(ctx context.Context, q core.Narrow) core.Event {
	var found history.Range
	var err error
	reader, id := f.server.history, f.partition.id
	if q.Time != nil {
		found, err = reader.NarrowTime(ctx, q.History, id, *q.Time, q.Low, q.Above)
	} else {
		f.ahead.chunks.begin(ctx, id, q)
		found, err = reader.NarrowOffset(ctx, q.History, id, q.Offset, q.Low, q.Above)
	}
	if err != nil {
		return historyFailed(ctx, err)
	}
	return core.Narrowed(found)
}

// archived answers a Read of entries in the history.
func (f *fetch) archived(ctx context.Context, q core.Read) core.Event {
	entries, err := f.server.history.Entries(ctx, q.History, f.partition.id, q.From, q.Limit)
	if err != nil {
		return historyFailed(ctx, err)
	}
	next := entries[len(entries)-1].Sequence + 1
	if missing, near := f.server.history.Missing(q.History, next); near {
		f.server.prefetch(q.History, f.partition.id, missing)
	}
	return core.Entries{Entries: entries}
}

// prefetch reads the page of an entry, and what names its place, while a fetch loads the payloads
// of the entries before it.
func (s *Server) prefetch(h messages.History, id protocol.Partition, next uint64) {
	if next > h.End.Sequence || s.history.InMemory(h, next) {
		return
	}
	select {
	case s.prefetches <- struct{}{}:
	default:
		return // the fetch reads it
	}
	s.wait.Go(func() {
		defer s.prefetches.release()
		// An error is returned again to the fetch.
		_, _ = s.history.Entries(s.ctx, h, id, next, 1)
	})
}

// historyFailed returns why the history could not be read: a part of it is damaged, or the store
// has not answered, and the core asks again.
func historyFailed(ctx context.Context, err error) core.Event {
	damage, damaged := errors.AsType[*history.Damage](err)
	switch {
	case damaged:
		return core.Failed{Err: protocol.AsError(err), Next: damage.Next}
	case ctx.Err() != nil:
		return failed(context.Cause(ctx))
	case errors.Is(err, layout.ErrVersion):
		return core.Failed{Err: protocol.NewError(protocol.CodeFailed, err.Error())}
	}
	return core.Failed{Err: protocol.Errorf(protocol.CodeStoreUnavailable, "the history could not be read: %v", err), Random: rand.Float64()}
}
