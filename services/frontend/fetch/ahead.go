package fetch

import (
	"context"
	"slices"
	"time"

	"laneway.dev/pkg/messages"
	core "laneway.dev/services/frontend/core/fetch"
)

// aheadIdle is how long a fetch keeps what it has read ahead while its consumer takes nothing.
const aheadIdle = time.Second

// aheadPatience is how long a load waits for what is being read ahead. After that, the load itself
// reads what it needs, in case one request of many hangs.
const aheadPatience = 5 * time.Second

// ahead holds what a fetch has read ahead of its loads, or is reading. It belongs to the goroutine
// of the fetch.
//
// A remote store takes about 100 ms for a request of any size, but a fetch sends the payloads of a
// load within a few milliseconds. Therefore, while the store answers one load, the payloads of the
// next ones are read as well. Their memory is bounded for all fetches together. If a consumer
// takes nothing for aheadIdle, its payloads are dropped, and read again later.
type ahead struct {
	server *Server
	open   []*aheadRange
	chunks chunks
	used   time.Time // when a load was last requested or answered
}

func newAhead(s *Server) ahead { return ahead{server: s, chunks: chunks{server: s}} }

// advance starts to read what a fetch loads next, and drops what it has read ahead and does not need.
// It returns the ranges and chunks that may have what it loads now.
func (a *ahead) advance(ctx context.Context, p *partition, q core.Load) ([]*aheadRange, []*chunk) {
	next := q.Ahead
	if a.chunks.advance(ctx, p, q.Extents, q.Beyond) {
		next = slices.DeleteFunc(slices.Clone(next), inSegment)
	}
	return a.ranges(ctx, q.Extents, next), slices.Clone(a.chunks.open)
}

// aheadRange is a range of extents that are read together. The goroutine that reads them owns
// the payloads until done is closed.
type aheadRange struct {
	load
	index  map[messages.Extent]int // index of the payload of each extent
	cancel context.CancelFunc
	done   chan struct{}
}

// ranges returns the ranges that have extents in wanted, those of the current load, and starts to
// read the extents in next, those of the loads after it. It drops ranges without any of them.
func (a *ahead) ranges(ctx context.Context, wanted, next []messages.Extent) (ready []*aheadRange) {
	a.used = time.Now()
	known := func(x messages.Extent) bool {
		return slices.ContainsFunc(a.open, func(r *aheadRange) bool { return r.has(x) })
	}
	a.open = slices.DeleteFunc(a.open, func(r *aheadRange) bool {
		if slices.ContainsFunc(wanted, r.has) {
			ready = append(ready, r)
			return false
		}
		if slices.ContainsFunc(next, r.has) {
			return false
		}
		a.server.forget(r)
		return true
	})
	next = slices.DeleteFunc(slices.Clone(next), known)
	for len(next) > 0 {
		n, bytes := 0, int64(0)
		for n < len(next) && (n == 0 || bytes+memory(next, n) <= core.MaxRange) {
			bytes += memory(next, n)
			n++
		}
		r := a.server.readAhead(ctx, next[:n])
		if r == nil {
			break // all slots are taken
		}
		a.open = append(a.open, r)
		next = next[n:]
	}
	return ready
}

// memory returns how many bytes of memory extents[n] needs in addition to those before it. A
// compressed block counts as a whole, once for all of its batches.
func memory(extents []messages.Extent, n int) int64 {
	x := extents[n]
	if !x.Compressed() {
		return x.Length
	}
	if n > 0 && extents[n-1].Stored() == x.Stored() {
		return 0
	}
	return int64(x.Block.Bytes)
}

// wake returns the time at which a drop is due, or the given time if that is earlier. If a drop
// is already due, wake drops everything and returns the given time.
func (a *ahead) wake(earliest time.Time) time.Time {
	if len(a.open) == 0 && len(a.chunks.open) == 0 {
		return earliest
	}
	due := a.used.Add(aheadIdle)
	switch {
	case !time.Now().Before(due):
		a.drop()
		return earliest
	case earliest.IsZero() || due.Before(earliest):
		return due
	}
	return earliest
}

// drop drops everything that was read ahead.
func (a *ahead) drop() {
	for _, r := range a.open {
		a.server.forget(r)
	}
	a.open = nil
	a.chunks.drop()
}

func (r *aheadRange) has(x messages.Extent) bool {
	_, ok := r.index[x]
	return ok
}

// readAhead starts to read a range. It returns nil if the maximum number of ranges is open.
func (s *Server) readAhead(ctx context.Context, extents []messages.Extent) *aheadRange {
	select {
	case s.ahead <- struct{}{}:
	default:
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	r := &aheadRange{load: s.load(extents), index: make(map[messages.Extent]int, len(extents)), cancel: cancel, done: make(chan struct{})}
	for i, x := range extents {
		r.index[x] = i
	}
	s.wait.Go(func() {
		defer close(r.done)
		s.reader.read(ctx, r.load)
	})
	return r
}

// forget cancels the reads of a range, and releases its slot once they have ended.
func (s *Server) forget(r *aheadRange) {
	r.cancel()
	s.wait.Go(func() {
		<-r.done
		s.ahead.release()
	})
}

// take waits for ranges, and fills in those missing payloads that they contain. Payloads that a range
// could not read, or did not read within aheadPatience, stay missing.
func (l *load) take(ranges []*aheadRange) {
	patience, cancel := context.WithTimeout(context.Background(), aheadPatience)
	defer cancel()
	for _, r := range ranges {
		if !r.read(patience) {
			continue
		}
		for n := range l.missing {
			m := &l.missing[n]
			m.frames = slices.DeleteFunc(m.frames, func(f frame) bool {
				i, ok := r.index[f.Extent]
				if !ok || r.payloads[i].Err != nil || r.payloads[i].Bytes == nil {
					return false
				}
				*f.payload = r.payloads[i]
				return true
			})
		}
	}
	l.missing = slices.DeleteFunc(l.missing, func(m missing) bool { return len(m.frames) == 0 })
}

// read waits until the range is read. It returns false if ctx ends first.
func (r *aheadRange) read(ctx context.Context) bool {
	select {
	case <-r.done:
		return true
	default:
	}
	select {
	case <-r.done:
		return true
	case <-ctx.Done():
		return false
	}
}
