package producers

import (
	"slices"

	"laneway.dev/pkg/messages"
)

// flight holds the batches and fences of one producer that are accepted and not committed,
// in order. A producer without any has no flight; the table keeps empty flights for reuse.
// Few producers have something in flight at a time, so a separate flight saves memory.
type flight struct {
	items []flightItem
	head  int // the items before it are committed
}

// flightItem is one batch or fence in flight.
type flightItem struct {
	original    *Original // if another batch repeats it
	predecessor *Producer // of a fence: whose history it continues
	first, last int32
	epoch       int16
	fence       bool
	restarts    bool // the first batch of an epoch that no fence introduced
}

func (f *flight) newest() *flightItem { return &f.items[len(f.items)-1] }

// newestBatch returns the last batch in flight; nil if only fences are in flight.
func (f *flight) newestBatch() *flightItem {
	for i := len(f.items) - 1; i >= f.head; i-- {
		if !f.items[i].fence {
			return &f.items[i]
		}
	}
	return nil
}

// predecessor returns the producer whose history a fence in flight continues; nil if none does.
func (f *flight) predecessor() *Producer {
	for i := range f.items[f.head:] {
		if before := f.items[f.head+i].predecessor; before != nil {
			return before
		}
	}
	return nil
}

// fencing reports whether a fence is in flight.
func (f *flight) fencing() bool {
	return f != nil && slices.ContainsFunc(f.items[f.head:], func(item flightItem) bool { return item.fence })
}

// find returns the batch in flight with these sequences; nil if there is none. restarted
// reports that the producer's newest epoch started in flight. Items before that start have
// a lower epoch, in which the same sequences mean other batches.
func (f *flight) find(first, last int32) (found *flightItem, restarted bool) {
	for i := len(f.items) - 1; i >= f.head; i-- {
		item := &f.items[i]
		if !item.fence && item.first == first && item.last == last {
			return item, false
		}
		if item.restarts {
			return nil, true
		}
	}
	return nil, false
}

// mostIdle is the least number of committed items that push removes from the front of a
// flight. They must also be at least half of its items. Removing them after each commit would
// cost more than the memory is worth.
const mostIdle = 64

func (f *flight) push(item flightItem) {
	if f.head >= mostIdle && f.head*2 >= len(f.items) {
		n := copy(f.items, f.items[f.head:])
		clear(f.items[n:])
		f.items, f.head = f.items[:n], 0
	}
	f.items = append(f.items, item)
}

// Accept puts a batch into flight and returns its producer, for Commit. The decision MUST
// have the result Accept, and the table MUST NOT have changed since Decide returned it.
func (t *Table) Accept(j Decision, s messages.Sequence, records uint32) *Producer {
	p := j.producer
	if p == nil {
		p = t.find(s.ProducerID)
	}
	t.touch(p)
	t.addInFlight(p, flightItem{first: s.First, last: s.Last(records), epoch: s.ProducerEpoch, restarts: j.restarts})
	return p
}

func (t *Table) addInFlight(p *Producer, item flightItem) {
	if p.flight == nil {
		if n := len(t.spare); n > 0 {
			p.flight, t.spare = t.spare[n-1], t.spare[:n-1]
		} else {
			p.flight = &flight{}
		}
	}
	p.flight.push(item)
}

// mostSpares bounds the empty flights that are kept for reuse.
const mostSpares = 1024

// endFlight removes a producer's flight, which is kept for reuse unless it is large.
func (t *Table) endFlight(p *Producer) {
	f := p.flight
	p.flight = nil
	if len(t.spare) < mostSpares && cap(f.items) <= 4*mostIdle {
		clear(f.items)
		f.items, f.head = f.items[:0], 0
		t.spare = append(t.spare, f)
	}
}

// Commit moves the oldest item in flight of a producer to its history, because the item is
// in the log. offset is the offset of a batch; it is ignored for a fence. The items of a
// producer MUST be committed in the order in which they were accepted.
func (t *Table) Commit(p *Producer, offset int64) {
	item := &p.flight.items[p.flight.head]
	if item.original != nil {
		item.original.Offset = offset
	}
	t.touch(p)
	if item.fence {
		p.epoch = item.epoch
	} else {
		p.settle(item.epoch, batch{offset, item.first, item.last})
	}
	if item.predecessor != nil {
		t.Commit(item.predecessor, offset) // the retiring fence of the old id, after all of its batches
		p.continueHistory(item.predecessor)
	}
	item.original, item.predecessor = nil, nil
	if p.flight.head++; p.flight.head == len(p.flight.items) {
		t.endFlight(p)
	}
}

// continueHistory moves the history of old, the producer that had the name before, to p, and
// retires old. The sequences of a name are one series under all of its ids, so a batch that
// was committed under the old id is recognized as a duplicate under the new one.
func (p *Producer) continueHistory(old *Producer) {
	p.done, p.count, p.next = old.done, old.count, old.next
	old.forget()
	old.epoch = retired
}

// settle adds a committed batch to the history. A batch of a higher epoch, without a fence
// before it, starts an empty history.
func (p *Producer) settle(epoch int16, b batch) {
	if epoch != p.epoch {
		p.forget()
		p.epoch = epoch
	}
	p.push(b)
}

// FenceResult is what the partition does with a fence.
type FenceResult int

const (
	// FenceAccepted means that the fence has been put into flight.
	FenceAccepted FenceResult = iota
	// FenceCommitted means that the fence is in the log already.
	FenceCommitted
	// FenceInFlight means that this fence, a higher one, or a fence of another producer with
	// the same name is in flight. The caller waits for it.
	FenceInFlight
	// FenceRefused means that a higher epoch is in the log.
	FenceRefused
	// FenceUnknown means that the producer is unknown, although the fence requires a known one.
	FenceUnknown
	// FenceTooMany means that the producer is unknown and the table is full.
	FenceTooMany
)

// Fence puts the fence of a named producer into flight if its epoch is above the known
// one. With ifKnown it does so only if the id or the name is known. It returns the
// producer, for Commit, or nil if it is unknown, and the fence as the log records it.
//
// The partition may know the name with another id: the record of the name was lost, or the
// epochs of the id were used up. The producer then continues the history of that id.
// Example: "billing" has id 7 in epoch 3 with sequences up to 41. A fence of id 9 in epoch 0
// retires id 7, and the next batch of id 9 has sequence 42.
func (t *Table) Fence(f messages.ProducerFence, ifKnown bool) (*Producer, messages.LoggedFence, FenceResult) {
	logged := messages.LoggedFence{ProducerFence: f}
	p := t.byID[f.ProducerID]
	room := p != nil || t.hasRoom() // it may forget producers
	before := t.names[f.Name]
	if before == p {
		before = nil
	}
	switch {
	case p == nil && before == nil && ifKnown:
		return nil, logged, FenceUnknown
	case !room:
		return nil, logged, FenceTooMany
	case p != nil && f.ProducerEpoch < p.epoch:
		return p, logged, FenceRefused
	case p != nil && f.ProducerEpoch == p.epoch:
		return p, logged, FenceCommitted
	case p != nil && f.ProducerEpoch <= p.knownEpoch():
		return p, logged, FenceInFlight
	case before != nil && before.flight.fencing():
		return p, logged, FenceInFlight
	}
	p = t.find(f.ProducerID)
	logged.Anew = before == nil && p.startsHistory()
	p.rename(f.Name)
	t.addInFlight(p, flightItem{epoch: f.ProducerEpoch, fence: true, predecessor: before})
	if before != nil {
		logged.Continues = before.id
		t.touch(before)
		t.addInFlight(before, flightItem{epoch: retired, fence: true})
	}
	t.keepName(p)
	return p, logged, FenceAccepted
}
