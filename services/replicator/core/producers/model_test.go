package producers_test

import (
	"slices"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/replicator/core/producers"
)

// model says what a table is to say, in the slowest way: it keeps all that was
// ever accepted of a producer, and looks through all of it.
type model struct {
	limit     int
	times     []time.Time // of every Advance
	producers map[int64]*history
	log       []*record // what is committed, in order
	flying    []*record // accepted, in order
}

// history is all of a producer since it was last unknown.
type history struct {
	records []*record
	active  time.Duration
	lost    bool // something of it was rolled back since the last commit
	named   bool // a fence gave it a name
	hidden  bool // in the log it was idle for longer than the expiry
}

// record is a batch or a fence.
type record struct {
	messages.Sequence
	last      int32
	fence     bool
	anew      bool // it is a fence, and no batch was known
	restarts  bool // it is the first batch of an epoch that no fence began
	committed bool
	offset    int64
	clock     time.Duration // of the commit
	at        time.Time     // of the commit, as the log has it
}

func (r *record) records() uint32 { return uint32(protocol.AddSequence(r.last, 1-int64(r.First))) }

// batch is what a producer sends.
type batch struct {
	messages.Sequence
	records uint32
	unacked int32
}

func newModel(limit int) *model {
	return &model{limit: limit, producers: map[int64]*history{}}
}

// clock is the time that has surely passed.
func (m *model) clock() (sum time.Duration) {
	for i := 1; i < len(m.times); i++ {
		if d := m.times[i].Sub(m.times[i-1]); d > 0 {
			sum += min(d, shortExpiry/24)
		}
	}
	return sum
}

// idle is how long a producer was idle; none is while something of it is in flight.
func (m *model) idle(h *history) time.Duration {
	if slices.ContainsFunc(h.records, func(r *record) bool { return !r.committed }) {
		return 0
	}
	return m.clock() - h.active
}

func (m *model) full() bool { return len(m.producers) >= m.limit }

// answer is what is said of a batch.
type answer struct {
	result producers.Result
	code   protocol.Code
	record *record // that is repeated
}

func refused(code protocol.Code) answer { return answer{result: producers.Refuse, code: code} }

func (m *model) decide(b batch) answer {
	h := m.producers[b.ProducerID]
	if h == nil {
		a := begin(b)
		if a.result == producers.Accept && m.full() {
			return refused(protocol.CodeTooManyProducers)
		}
		return a
	}
	switch epoch := h.epoch(); {
	case b.ProducerEpoch < epoch:
		return refused(protocol.CodeInvalidEpoch)
	case b.ProducerEpoch > epoch && h.named:
		return refused(protocol.CodeEpochNotGiven)
	case b.ProducerEpoch > epoch && b.First != 0:
		return b.outOfOrder()
	case b.ProducerEpoch > epoch:
		return answer{}
	}
	span := h.batches()
	for i, r := range slices.Backward(span) {
		remembered := !r.committed || len(h.committed(span[i+1:])) < producers.Kept
		if remembered && r.First == b.First && r.last == b.Last(b.records) {
			if r.committed {
				return answer{result: producers.Duplicate, record: r}
			}
			return answer{result: producers.DuplicateInFlight, record: r}
		}
	}
	if len(span) == 0 {
		return begin(b)
	}
	if b.First != next(span[len(span)-1].last) {
		return b.outOfOrder()
	}
	return answer{}
}

// outOfOrder is final if the producer says that it misses nothing.
func (b batch) outOfOrder() answer {
	if b.unacked == b.First {
		return refused(protocol.CodeOutOfOrderFinal)
	}
	return refused(protocol.CodeOutOfOrderSequence)
}

// next is the sequence after one, in words of Kafka.
func next(last int32) int32 {
	if last == 1<<31-1 {
		return 0
	}
	return last + 1
}

// begin decides about the first batch of a producer that the model does not know.
func begin(b batch) answer {
	switch {
	case b.unacked == protocol.NotSaid && b.First != 0:
		return refused(protocol.CodeUnknownProducer)
	case b.unacked != protocol.NotSaid && b.unacked != b.First:
		return refused(protocol.CodeOutOfOrderSequence)
	}
	return answer{}
}

// epoch is the newest one, -1 before there is any.
func (h *history) epoch() int16 {
	if len(h.records) == 0 {
		return -1
	}
	return h.records[len(h.records)-1].ProducerEpoch
}

// batches returns those that count: of an epoch that began with a batch, nothing
// before it does.
func (h *history) batches() (span []*record) {
	for _, r := range h.records {
		if r.restarts {
			span = nil
		}
		if !r.fence {
			span = append(span, r)
		}
	}
	return span
}

func (h *history) committed(all []*record) (found []*record) {
	for _, r := range all {
		if r.committed {
			found = append(found, r)
		}
	}
	return found
}

func (m *model) accept(r *record) {
	h := m.producers[r.ProducerID]
	if h == nil {
		h = &history{}
		m.producers[r.ProducerID] = h
	}
	r.restarts = !r.fence && r.ProducerEpoch > h.epoch()
	h.named = h.named || r.fence
	h.records = append(h.records, r)
	h.active = m.clock()
	m.flying = append(m.flying, r)
}

// commit makes the oldest in flight committed.
func (m *model) commit(offset int64) *record {
	r := m.flying[0]
	m.flying = m.flying[1:]
	h := m.producers[r.ProducerID]
	if logged := h.committed(h.records); len(logged) > 0 && m.clock()-logged[len(logged)-1].clock > shortExpiry {
		h.hidden = true
	}
	r.committed, r.offset, r.clock, r.at = true, offset, m.clock(), m.times[len(m.times)-1]
	h.active, h.lost = r.clock, false
	if n := len(m.log); n > 0 && m.log[n-1].at.After(r.at) {
		r.at = m.log[n-1].at
	}
	m.log = append(m.log, r)
	return r
}

func (m *model) rollBack() {
	for _, r := range m.flying {
		h := m.producers[r.ProducerID]
		if h == nil {
			continue
		}
		h.records, h.lost = h.committed(h.records), true
		if len(h.records) == 0 {
			delete(m.producers, r.ProducerID)
		}
	}
	m.flying = nil
}

// fence says what is to become of a fence.
func (m *model) fence(id int64, epoch int16) producers.FenceResult {
	h := m.producers[id]
	if h == nil {
		if m.full() {
			return producers.FenceTooMany
		}
		return producers.FenceAccepted
	}
	logged := int16(-1)
	for _, r := range h.committed(h.records) {
		logged = r.ProducerEpoch
	}
	switch {
	case epoch < logged:
		return producers.FenceRefused
	case epoch == logged:
		return producers.FenceCommitted
	case epoch <= h.epoch():
		return producers.FenceInFlight
	}
	return producers.FenceAccepted
}
