package journal

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"sync"

	"golang.org/x/sync/semaphore"

	"laneway.dev/pkg/messages"
)

// groupReader reads entries out of their groups. Thousands of logs are read after a start, and most groups
// have entries of many of them. So what waits is read in the order of the journal, and each group once
// for all logs that want it. It is safe for concurrent use.
//
// Example: the logs a and b want the groups 1 to 40, and log c the groups 30 and 900. Two requests read
// the groups 1 to 40 and 900. What is wanted meanwhile is read after that.
type groupReader struct {
	// read calls do for the groups from first to last, as far as the replica that answers has them.
	read func(first, last uint64, do func(place uint64, g *stored)) error
	room *semaphore.Weighted // for the bytes of the entries of those who wait

	mu      sync.Mutex
	wanted  map[uint64][]*want // by the places of the groups whose read has not begun
	order   []uint64           // of the places to read next. Those that came later follow when it is empty
	reading int                // requests under way
}

func newGroupReader(read func(first, last uint64, do func(place uint64, g *stored)) error) *groupReader {
	return &groupReader{read: read, room: semaphore.NewWeighted(maxReadBytes), wanted: make(map[uint64][]*want)}
}

// want is a run of a log that a caller wants.
type want struct {
	ctx   context.Context // of the caller
	id    messages.LogID
	first uint64 // sequence of the first entry

	mu   sync.Mutex
	into []Entry // without data, as long as their groups were not read
	left int     // places whose groups were not read
	err  error
	done chan struct{} // closed when nothing is left, or with an error
}

// part is what a request reads, with those who want it.
type part struct {
	first, last uint64
	wants       map[uint64][]*want
}

// entries returns the entries of a run. Those whose groups the replica that answers does not have, or which
// are damaged, have no data.
func (r *groupReader) entries(ctx context.Context, id messages.LogID, run run) ([]Entry, error) {
	size := min(run.bytes, maxReadBytes)
	if err := r.room.Acquire(ctx, size); err != nil {
		return nil, err
	}
	defer r.room.Release(size)
	w := &want{ctx: ctx, id: id, first: run.first, into: make([]Entry, len(run.places)), done: make(chan struct{})}
	places := slices.Compact(slices.Sorted(slices.Values(run.places)))
	w.left = len(places)
	r.mu.Lock()
	for _, place := range places {
		r.wanted[place] = append(r.wanted[place], w)
	}
	if r.reading < maxReads {
		r.reading++
		go r.work()
	}
	r.mu.Unlock()
	select {
	case <-w.done:
		return w.into, w.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// work reads until nothing is wanted.
func (r *groupReader) work() {
	for {
		p := r.take()
		if p == nil {
			return
		}
		err := r.read(p.first, p.last, p.deliver)
		if err == nil || len(p.wants) == 1 {
			p.end(err)
			continue
		}
		// One group that cannot be read must not keep others from those who want only these.
		for _, place := range slices.Sorted(maps.Keys(p.wants)) {
			if wants := slices.DeleteFunc(p.wants[place], (*want).ended); len(wants) > 0 {
				one := &part{wants: map[uint64][]*want{place: wants}}
				one.end(r.read(place, place, one.deliver))
			}
		}
	}
}

// take takes over the next groups that stand near each other; nil if none is wanted. It starts another
// request if there is more.
func (r *groupReader) take() *part {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := &part{wants: make(map[uint64][]*want)}
	for len(p.wants) == 0 {
		if len(r.order) == 0 {
			r.order = slices.Sorted(maps.Keys(r.wanted))
		}
		if len(r.order) == 0 {
			r.reading--
			return nil
		}
		p.first, p.last = r.order[0], r.order[0]
		for place := p.first; place <= p.last+nearGroups && place-p.first < groupsPerRead; place++ {
			if wants := slices.DeleteFunc(r.wanted[place], (*want).ended); len(wants) > 0 {
				p.wants[place], p.last = wants, place
			}
			delete(r.wanted, place)
		}
		next, _ := slices.BinarySearch(r.order, p.last+1)
		r.order = r.order[next:]
	}
	if len(r.wanted) > 0 && r.reading < maxReads {
		r.reading++
		go r.work()
	}
	return p
}

// deliver passes a group on to those who want it.
func (p *part) deliver(place uint64, g *stored) {
	byLog := make(map[messages.LogID][]*want)
	for _, w := range p.wants[place] {
		byLog[w.id] = append(byLog[w.id], w)
	}
	for i := range g.Sections {
		s := &g.Sections[i]
		if !s.Kind.HasEntry() {
			continue
		}
		for _, w := range byLog[s.Log] {
			w.collect(s, g)
		}
	}
}

// end tells those who want groups of the part that they were read, as far as that was possible.
func (p *part) end(err error) {
	for _, wants := range p.wants {
		for _, w := range wants {
			w.wasRead(err)
		}
	}
}

// ended reports whether nobody waits any more.
func (w *want) ended() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err != nil || w.ctx.Err() != nil
}

// collect takes an entry. It copies the data, which would keep the whole group in memory.
func (w *want) collect(s *messages.Section, g *stored) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s.Sequence >= w.first && s.Sequence-w.first < uint64(len(w.into)) && w.err == nil {
		w.into[s.Sequence-w.first] = Entry{Sequence: s.Sequence, Time: g.time, Data: bytes.Clone(s.Entry)}
	}
}

// wasRead takes in that one more group was read, or that it could not be.
func (w *want) wasRead(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return
	}
	w.left--
	if w.err = err; err != nil || w.left == 0 {
		close(w.done)
	}
}
