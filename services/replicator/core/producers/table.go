// Package producers holds the state of a partition's idempotent producers and the rules for
// their batches: Decide reports whether a batch is new, a duplicate or out of order. The
// rules are those of Kafka without two of its defects (KIP-360, redpanda#30937).
//
// A Table is pure and belongs to the goroutine of the partition's core. A batch or fence
// goes through two steps: Accept or Fence puts it into flight, and Commit adds it to the
// history after its entry is durable. RollBack drops everything in flight, when an append
// has failed or its outcome is unknown. ApplyBatch and ApplyFence rebuild the same history
// from the log, and Restore from a Snapshot.
package producers

import (
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// Kept is how many committed batches of a producer are remembered. A retry of any of them
// is answered with its offset. A client MUST NOT have more unacked batches than this, or a
// retry of the oldest could go unrecognized.
const Kept = 5

// steps is how many calls of Advance the table's clock needs at least to reach the expiry.
// The times in a log come from the clocks of its owners. If one of those is far ahead, the
// jump must not evict producers whose retries may still arrive.
const steps = 24

// Table holds the producers of one partition. Its clock counts only time that has certainly
// passed, so a wrong clock evicts no producer. Example: with an expiry of 24 h, an entry
// with a time three days ahead advances the clock by one hour.
type Table struct {
	expiry time.Duration
	limit  int

	byID  map[int64]*Producer
	names map[string]*Producer // by name: the producer that was fenced last, in the log or in flight
	at    time.Time            // of the last Advance
	clock time.Duration        // time that has passed since the table was created
	swept time.Duration        // clock at the last sweep
	spare []*flight            // empty flights, for reuse
	aged  []age                // candidates for eviction while the log is read, oldest first
}

// Producer is one producer of a table. A table may hold millions, and any batch may touch
// any of them, so a Producer fits into two cache lines.
type Producer struct {
	named  *string       // nil if it has no name
	active time.Duration // clock of the table at its last activity
	at     int64         // time of the table at its last activity, in Unix nanoseconds
	flight *flight       // nil if it has nothing in flight
	done   [Kept]batch   // ring of the last committed batches; the newest is before next
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

// New returns an empty table that evicts producers after expiry and holds up to limit.
func New(expiry time.Duration, limit int) *Table {
	return &Table{expiry: expiry, limit: limit, byID: make(map[int64]*Producer), names: make(map[string]*Producer)}
}

// SetLimits changes the expiry and the limit of the table. Producers beyond a lower limit stay
// until they expire. Idle times count from the last activity, so a shorter expiry evicts
// producers at the next sweep that were idle for longer than that already.
func (t *Table) SetLimits(expiry time.Duration, limit int) { t.expiry, t.limit = expiry, limit }

// Len returns the number of producers.
func (t *Table) Len() int { return len(t.byID) }

// Advance advances the table's clock by the time since the last call, at most by one step. A
// time before that of the last call does not move the clock, but the next call counts from it.
func (t *Table) Advance(now time.Time) {
	if d := now.Sub(t.at); d > 0 && !t.at.IsZero() {
		t.clock += min(d, t.expiry/steps)
	}
	t.at = now
}

// Keeps reports whether the clock loses no time if Advance is called only once per pause.
func (t *Table) Keeps(pause time.Duration) bool { return pause <= t.expiry/steps }

// Evict removes the producers that were idle for longer than the expiry. It looks at them
// only once per step of the clock. A producer with a batch in flight stays.
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

// remove removes a producer, and its name if no other producer has taken that.
func (t *Table) remove(p *Producer) {
	delete(t.byID, p.id)
	if t.names[p.name()] == p {
		delete(t.names, p.name())
	}
}

// hasRoom reports whether the table has room for one more producer. It may evict expired
// producers, but never another one: a retry of its batch would be appended a second time.
func (t *Table) hasRoom() bool {
	const pause = time.Second // a sweep looks at all of them
	if len(t.byID) >= t.limit && t.clock-t.swept >= pause {
		t.sweep()
	}
	return len(t.byID) < t.limit
}

// RollBack drops everything in flight, and the producers that had nothing else.
func (t *Table) RollBack() {
	for _, p := range t.byID {
		if p.flight == nil {
			continue
		}
		before := p.flight.predecessor()
		t.endFlight(p)
		if p.count == 0 && p.epoch == noEpoch {
			t.remove(p)
		}
		t.keepName(before)
	}
}

const (
	// noEpoch marks a producer without a committed batch or fence.
	noEpoch = -1
	// retired marks a producer whose name has moved to another id. It is above the epoch of
	// any batch, so all of them are rejected.
	retired = protocol.MaxProducerEpoch + 1
)

// find returns a producer, and adds it if it is unknown.
func (t *Table) find(id int64) *Producer {
	p := t.byID[id]
	if p == nil {
		p = &Producer{id: id, epoch: noEpoch}
		t.byID[id] = p
	}
	t.touch(p)
	return p
}

// touch makes a producer the most recent one.
func (t *Table) touch(p *Producer) { p.active, p.at = t.clock, t.at.UnixNano() }

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

// Known returns the committed state of a producer; false if it has none.
func (t *Table) Known(id int64) (messages.KnownProducer, bool) {
	p := t.byID[id]
	if p == nil || p.epoch == noEpoch {
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

// keepName makes a producer the owner of its name, unless it has none or is retired.
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
