// Package producers is what the owner of a partition knows of its idempotent
// producers, and the rules by which their batches are accepted: Kafka's, with the
// cure of two of its defects (KIP-360, redpanda#30937).
//
// It is pure, and belongs to the goroutine of the partition's core. Nothing in it
// is true before it is in the log: what was accepted is in flight until it is
// committed, and RollBack forgets it.
package producers

import (
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// Kept is how many committed batches of a producer are remembered: the retry of
// any of them is answered with its offset. A client never sends further than so
// many batches beyond the first one that it has no OK for.
const Kept = 5

// steps is in how many steps at least the table's clock passes the expiry. Time in
// the log is that of its owners' clocks, and one that is far ahead must not evict
// producers whose retries are still to come.
const steps = 24

// Table holds the producers of one partition. Its clock only counts time that has
// surely passed, so that a wrong clock evicts nobody.
type Table struct {
	expiry time.Duration
	limit  int

	byID  map[int64]*Producer
	names map[string]*Producer // by name: the producer that was fenced last, in the log or in flight
	at    time.Time            // of the last Advance
	clock time.Duration        // what has passed since the table was made
	swept time.Duration
	spare []*flight
	aged  []age  // the first to be forgotten for another one while the log is read
	turns uint64 // batches and fences that were read
}

// Producer is one producer of a table. There are many, and a batch touches any of
// them: each lies in two lines of the cache.
type Producer struct {
	named  *string       // nil if it has no name
	active time.Duration // of the table's clock
	turn   uint64        // in the log, as far as it was read
	flight *flight       // nil if nothing of it is in flight
	done   [Kept]batch   // the last committed ones; the newest is before next
	id     int64
	epoch  int16
	count  uint8
	next   uint8
}

// batch is a committed batch.
type batch struct {
	offset      int64
	first, last int32
}

// New returns an empty table that forgets producers after expiry and takes new
// ones up to limit.
func New(expiry time.Duration, limit int) *Table {
	return &Table{expiry: expiry, limit: limit, byID: make(map[int64]*Producer), names: make(map[string]*Producer)}
}

// Len returns the number of producers.
func (t *Table) Len() int { return len(t.byID) }

// Advance tells the table what time it is. A time that lies before the last one
// starts the counting anew.
func (t *Table) Advance(now time.Time) {
	if d := now.Sub(t.at); d > 0 && !t.at.IsZero() {
		t.clock += min(d, t.expiry/steps)
	}
	t.at = now
}

// Evict forgets the producers that were idle for longer than the expiry, from
// time to time. One with a batch in flight is never forgotten.
func (t *Table) Evict() {
	if t.clock-t.swept >= t.expiry/steps {
		t.sweep()
	}
}

func (t *Table) sweep() {
	t.swept = t.clock
	for _, p := range t.byID {
		if p.flight == nil && t.clock-p.active > t.expiry {
			t.remove(p)
		}
	}
}

// remove forgets a producer.
func (t *Table) remove(p *Producer) {
	delete(t.byID, p.id)
	if t.names[p.name()] == p {
		delete(t.names, p.name())
	}
}

// hasRoom says whether one producer more may be remembered. A live one is never
// thrown out for it: its retry would be taken for a new batch.
func (t *Table) hasRoom() bool {
	const pause = time.Second // a sweep looks at all of them
	if len(t.byID) >= t.limit && t.clock-t.swept >= pause {
		t.sweep()
	}
	return len(t.byID) < t.limit
}

// RollBack forgets what is in flight.
func (t *Table) RollBack() {
	for _, p := range t.byID {
		if p.flight == nil {
			continue
		}
		before := p.flight.before()
		t.land(p)
		if p.count == 0 && p.epoch == unborn {
			t.remove(p)
		}
		t.keepName(before)
	}
}

const (
	// unborn is the epoch of a producer of which nothing is committed.
	unborn = -1
	// retired is the epoch of a producer whose name has another id: no batch has it.
	retired = protocol.MaxProducerEpoch + 1
)

// find returns a producer, which is made if it is not known.
func (t *Table) find(id int64) *Producer {
	p := t.byID[id]
	if p == nil {
		p = &Producer{id: id, epoch: unborn}
		t.byID[id] = p
	}
	p.active = t.clock
	return p
}

// newest returns the last committed batch; nil if there is none.
func (p *Producer) newest() *batch {
	if p.count == 0 {
		return nil
	}
	return &p.done[(p.next+Kept-1)%Kept]
}

// committed returns the remembered batch with these sequences; nil if none has them.
func (p *Producer) committed(first, last int32) *batch {
	for i := range p.count {
		if b := &p.done[(p.next+Kept-1-i)%Kept]; b.first == first && b.last == last {
			return b
		}
	}
	return nil
}

func (p *Producer) push(b batch) {
	p.done[p.next] = b
	p.next = (p.next + 1) % Kept
	p.count = min(p.count+1, Kept)
}

// forget drops the committed batches.
func (p *Producer) forget() { p.count, p.next = 0, 0 }

// Known returns what is committed of a producer; false if nothing is.
func (t *Table) Known(id int64) (messages.KnownProducer, bool) {
	p := t.byID[id]
	if p == nil || p.epoch == unborn {
		return messages.KnownProducer{}, false
	}
	return t.known(p), true
}

func (t *Table) known(p *Producer) messages.KnownProducer {
	k := messages.KnownProducer{
		ProducerFence: messages.ProducerFence{ProducerID: p.id, ProducerEpoch: p.epoch, Name: p.name()},
		Age:           (t.clock - p.active).Milliseconds(),
	}
	if b := p.newest(); b != nil {
		k.HasLast, k.Last = true, b.last
	}
	return k
}

func (p *Producer) name() string {
	if p.named == nil {
		return ""
	}
	return *p.named
}

// keepName notes that a producer is the one of its name, if it has one.
func (t *Table) keepName(p *Producer) {
	if p != nil && p.named != nil && p.epoch != retired {
		t.names[*p.named] = p
	}
}

func (p *Producer) rename(name string) {
	if name != p.name() {
		kept := name // only a name that is new costs memory
		p.named = &kept
	}
}
