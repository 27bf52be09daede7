package fetch

import (
	"context"
	"errors"
	"fmt"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	core "laneway.dev/services/frontend/core/fetch"
)

// ask answers a question of the core: at once if the answer is in memory, and otherwise in
// the background, so that the fetch can be cancelled before the answer arrives.
func (f *fetch) ask(ctx context.Context, q core.Question) core.Event {
	switch q := q.(type) {
	case core.LookUp:
		f.inBackground(func() core.Event {
			state, err := f.partition.lookUp(ctx)
			if err != nil {
				return failed(err)
			}
			return core.LookedUp{State: state}
		})
	case core.Narrow:
		f.inBackground(func() core.Event { return f.narrow(ctx, q) })
	case core.Read:
		if q.History.Archived() {
			f.ahead.chunks.history = q.History
			f.inBackground(func() core.Event { return f.archived(ctx, q) })
			return nil
		}
		if entries := f.cached(q); len(entries) > 0 {
			return core.Entries{Entries: entries}
		}
		f.inBackground(func() core.Event {
			entries, err := f.read(ctx, q)
			if err != nil {
				return failed(err)
			}
			return core.Entries{Entries: entries}
		})
	case core.Load:
		l := f.server.load(q.Extents)
		if len(l.missing) == 0 && (!q.Unpack || !l.compressed()) {
			return l.answer()
		}
		ready, open := f.ahead.advance(ctx, f.partition, q)
		f.inBackground(func() core.Event {
			l.take(ready)
			l.takeChunks(open, f.server.reader)
			select {
			case f.server.loads <- struct{}{}: // the core decides how long the fetch waits for it
				f.loads = true
				f.server.reader.read(ctx, l)
			case <-ctx.Done():
				l.fail(protocol.AsError(context.Cause(ctx)))
			}
			return l.answer()
		})
	case core.IsDeleted:
		f.inBackground(func() core.Event {
			return core.Deleted{Deleted: f.server.config.Gone(ctx, f.partition.id)}
		})
	}
	return nil
}

func failed(err error) core.Failed { return core.Failed{Err: protocol.AsError(err)} }

func (f *fetch) inBackground(answer func() core.Event) {
	f.asking = true
	f.server.wait.Go(func() { f.answers <- answer() })
}

// releaseLoads releases the slot for loads, unless a load is running in the background.
func (f *fetch) releaseLoads() {
	if !f.asking && f.loads {
		f.loads = false
		f.server.loads.release()
	}
}

// cached returns the requested entries that are in memory, up to the first that is not.
func (f *fetch) cached(q core.Read) []messages.LoggedEntry {
	var entries []messages.LoggedEntry
	for batches := 0; len(entries) < q.Limit && batches < core.MaxQueue; {
		logged, ok := f.server.entries.get(f.partition.id, q.From+uint64(len(entries)))
		if !ok {
			break
		}
		entries = append(entries, logged)
		batches += len(logged.Entry.Batches)
	}
	return entries
}

// logRead is a read of a log for all fetches that have come to the same entry.
type logRead struct {
	done chan struct{} // closed at its end
	err  error         // set before that; nil also if the fetch that has read was cancelled
}

// read reads at least one of the entries, which exist. Of several fetches at the same entry, one reads,
// and the others take what it has put into the cache.
func (f *fetch) read(ctx context.Context, q core.Read) ([]messages.LoggedEntry, error) {
	for {
		r, reads := f.partition.join(q.From)
		if reads {
			entries, err := f.readLog(ctx, q)
			if ctx.Err() == nil {
				r.err = err
			}
			f.partition.leave(q.From, r)
			return entries, err
		}
		select {
		case <-r.done:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if entries := f.cached(q); len(entries) > 0 {
			return entries, nil
		}
		if err, is := errors.AsType[*protocol.Error](r.err); is && err.Code == protocol.CodeUnavailable {
			return nil, err // it would take as long again to find that out
		}
	}
}

// join returns the read that begins with an entry, and whether the caller is the one that reads. If it
// is, it MUST call leave.
func (p *partition) join(from uint64) (_ *logRead, reads bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r := p.reading[from]; r != nil {
		return r, false
	}
	r := &logRead{done: make(chan struct{})}
	p.reading[from] = r
	return r, true
}

func (p *partition) leave(from uint64, r *logRead) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.reading, from)
	close(r.done)
}

// readLog reads at least one of the entries. If a replica lags and does not have them yet, the request
// is repeated.
func (f *fetch) readLog(ctx context.Context, q core.Read) ([]messages.LoggedEntry, error) {
	p := f.partition
	if err := p.reads.acquire(ctx, p.config.LogPatience); err != nil {
		return nil, err
	}
	defer p.reads.release()
	entries, err := fromLog(ctx, p.config, func(ctx context.Context) ([]messages.LoggedEntry, error) {
		entries, _, err := p.log.Read(ctx, q.From, q.Limit)
		switch {
		case len(entries) > 0:
			return entries, nil // an error after them is returned again by the next read
		case err != nil:
			return nil, err
		}
		return nil, fmt.Errorf("entry %d of log %s is not there yet", q.From, messages.LogName(p.id))
	})
	for i := range entries {
		f.server.entries.put(p.id, entries[i])
	}
	return entries, err
}
