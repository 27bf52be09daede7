package producers

import (
	"slices"

	"laneway.dev/pkg/messages"
)

// flight is what is accepted of a producer and not committed, in order. It is
// never empty, and goes back to the table's spares when it has become so.
type flight struct {
	items []flying
	head  int // items before it are committed
}

// flying is a batch or a fence in flight.
type flying struct {
	original    *Original // if another batch repeats it
	before      *Producer // of a fence: whose history it continues
	first, last int32
	epoch       int16
	fence       bool
	restarts    bool // the first batch of an epoch that no fence began
}

func (f *flight) newest() *flying { return &f.items[len(f.items)-1] }

func (f *flight) newestBatch() *flying {
	for i := len(f.items) - 1; i >= f.head; i-- {
		if !f.items[i].fence {
			return &f.items[i]
		}
	}
	return nil
}

// before returns the producer whose history a fence in flight continues; nil if none does.
func (f *flight) before() *Producer {
	for i := range f.items[f.head:] {
		if before := f.items[f.head+i].before; before != nil {
			return before
		}
	}
	return nil
}

// fencing reports whether a fence is in flight.
func (f *flight) fencing() bool {
	return f != nil && slices.ContainsFunc(f.items[f.head:], func(item flying) bool { return item.fence })
}

// find returns the batch with these sequences, and whether the newest epoch began
// in flight.
func (f *flight) find(first, last int32) (found *flying, restarted bool) {
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

// mostIdle bounds the committed items that a flight carries along.
const mostIdle = 64

func (f *flight) push(item flying) {
	if f.head >= mostIdle && f.head*2 >= len(f.items) {
		n := copy(f.items, f.items[f.head:])
		clear(f.items[n:])
		f.items, f.head = f.items[:n], 0
	}
	f.items = append(f.items, item)
}

// Accept puts a batch that was judged Accept into flight and returns its
// producer, for Commit. Nothing may have changed since the judgement.
func (t *Table) Accept(j Judgement, s messages.Sequence, records uint32) *Producer {
	p := j.producer
	if p == nil {
		p = t.find(s.ProducerID)
	}
	p.active = t.clock
	t.fly(p, flying{first: s.First, last: s.Last(records), epoch: s.ProducerEpoch, restarts: j.restarts})
	return p
}

func (t *Table) fly(p *Producer, item flying) {
	if p.flight == nil {
		if n := len(t.spare); n > 0 {
			p.flight, t.spare = t.spare[n-1], t.spare[:n-1]
		} else {
			p.flight = &flight{}
		}
	}
	p.flight.push(item)
}

// mostSpares bounds the flights that are kept for later.
const mostSpares = 1024

// land takes a producer's flight away.
func (t *Table) land(p *Producer) {
	f := p.flight
	p.flight = nil
	if len(t.spare) < mostSpares && cap(f.items) <= 4*mostIdle {
		clear(f.items)
		f.items, f.head = f.items[:0], 0
		t.spare = append(t.spare, f)
	}
}

// Commit says that the oldest of what is in flight of a producer is in the log; a
// batch is there at this offset. What is in flight of a producer is committed in
// the order in which it was accepted.
func (t *Table) Commit(p *Producer, offset int64) {
	item := &p.flight.items[p.flight.head]
	if item.original != nil {
		item.original.Offset = offset
	}
	p.active = t.clock
	if item.fence {
		p.epoch = item.epoch
	} else {
		p.settle(item.epoch, batch{offset, item.first, item.last})
	}
	if item.before != nil {
		t.Commit(item.before, offset) // its own fence, behind all of its batches
		p.follow(item.before)
	}
	item.original, item.before = nil, nil
	if p.flight.head++; p.flight.head == len(p.flight.items) {
		t.land(p)
	}
}

// follow takes the history of the producer that had the name before, and fences that
// one for good: the sequences of a name are one series, whatever its id.
func (p *Producer) follow(before *Producer) {
	p.done, p.count, p.next = before.done, before.count, before.next
	before.forget()
	before.epoch = retired
}

// settle makes a committed batch part of the history. One of a higher epoch,
// which no fence announced, begins it anew.
func (p *Producer) settle(epoch int16, b batch) {
	if epoch != p.epoch {
		p.forget()
		p.epoch = epoch
	}
	p.push(b)
}

// FenceVerdict says what is to become of a fence.
type FenceVerdict int

const (
	// FenceAccepted says that the fence is in flight from now on.
	FenceAccepted FenceVerdict = iota
	// FenceCommitted says that the fence is in the log already.
	FenceCommitted
	// FenceInFlight says that the fence, a higher one, or one of another producer that
	// has the name is in flight.
	FenceInFlight
	// FenceRefused says that a higher epoch is in the log.
	FenceRefused
	// FenceUnknown says that the producer is not known, and was to be.
	FenceUnknown
	// FenceTooMany says that the producer is not known, and there is no room for one more.
	FenceTooMany
)

// Fence puts the fence of a named producer into flight, if its epoch is above the
// known one; with ifKnown only if the id or the name is known. It also returns the
// fence as the log is to have it. The producer that it returns is for Commit; nil is
// one that is not known.
//
// If the partition knows the name by another id, the producer continues the history of
// that one: the record of the name was lost, or the epochs of the id were used up.
func (t *Table) Fence(f messages.ProducerFence, ifKnown bool) (*Producer, messages.LoggedFence, FenceVerdict) {
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
	logged.Anew = before == nil && p.beginsAnew()
	p.rename(f.Name)
	t.fly(p, flying{epoch: f.ProducerEpoch, fence: true, before: before})
	if before != nil {
		logged.Continues = before.id
		before.active = t.clock
		t.fly(before, flying{epoch: retired, fence: true})
	}
	t.keepName(p)
	return p, logged, FenceAccepted
}
