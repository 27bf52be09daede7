package producers

import (
	"fmt"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// Result is what the partition does with a batch.
type Result int

const (
	// Accept means that the batch is the producer's next one.
	Accept Result = iota
	// Duplicate means that the batch is in the log already, at Decision.Offset.
	Duplicate
	// DuplicateInFlight means that the batch is in flight already. It gets the offset of
	// Decision.Original once that one is committed.
	DuplicateInFlight
	// Refuse means that the batch must not be appended. Decision.Refusal is the reason.
	Refuse
)

// Original is a batch in flight that a later batch repeats. Offset is set when the original
// is committed. Batches of a partition are committed in order, so Offset is set before the
// duplicate is answered.
type Original struct{ Offset int64 }

// Decision is the result of Decide for one batch.
type Decision struct {
	Result   Result
	Offset   int64           // of a Duplicate
	Original *Original       // of a DuplicateInFlight
	Refusal  *protocol.Error // of a Refuse

	producer *Producer // nil if the producer is not known
	restarts bool      // the batch starts a new producer epoch and an empty history
}

// Decide decides about a batch whose ticket is the next one of its lane. Batches in flight
// count as committed. firstUnacked is the first producer sequence without an acknowledgement,
// as the producer reports it, or protocol.NotSaid. The table does not change, except that a
// batch in flight may get an Original.
//
// The rules apply in this order:
//
//  1. A batch of a lower producer epoch than the known one is refused. A higher epoch is
//     accepted if the batch has sequence 0 and its producer has no name. A named producer
//     gets a higher epoch only by a fence.
//  2. A batch with the same sequences as one of the last Kept, or one in flight, is a duplicate.
//  3. A batch that starts one above the last known sequence is accepted.
//  4. Any other batch is out of order.
//
// A producer that is unknown, or was evicted, must start with its first unacked batch. Kafka
// accepts any batch from it (KIP-360). If the second batch overtakes the first one there,
// the second one is accepted, and the first one never is (redpanda#30937).
//
// Example: sequences 0–9 are committed, 10–14 are in flight, and first unacked is 10. Then
// 0–9 is a Duplicate, 10–14 is a DuplicateInFlight, and 15–19 is accepted. 20–24 is out of
// order and retryable. 10–12 is out of order for good: its length differs from that of the
// batch in flight, and the producer has no earlier batch that could still arrive.
func (t *Table) Decide(s messages.Sequence, records uint32, firstUnacked int32) Decision {
	p := t.byID[s.ProducerID]
	if p == nil {
		return t.decideUnknown(s, firstUnacked)
	}
	d := Decision{producer: p}
	epoch := p.knownEpoch()
	switch {
	case s.ProducerEpoch < epoch:
		return d.refuse(protocol.CodeInvalidEpoch, "producer %d has epoch %d, the batch is of epoch %d", s.ProducerID, epoch, s.ProducerEpoch)
	case s.ProducerEpoch > epoch && p.named != nil:
		return d.refuse(protocol.CodeEpochNotGiven, "producer %d, which is %q, has epoch %d here, the batch is of epoch %d",
			s.ProducerID, p.name(), epoch, s.ProducerEpoch)
	case s.ProducerEpoch > epoch && s.First != 0:
		return d.refuse(outOfOrder(s, firstUnacked), "the first batch of producer %d in epoch %d has sequence %d, it must be 0",
			s.ProducerID, s.ProducerEpoch, s.First)
	case s.ProducerEpoch > epoch:
		d.restarts = true
		return d
	}
	if p.repeated(s.First, s.Last(records), &d) {
		return d
	}
	last, some := p.knownLast()
	switch next := protocol.AddSequence(last, 1); {
	case !some:
		return d.decideFirst(s, firstUnacked)
	case s.First != next:
		return d.refuse(outOfOrder(s, firstUnacked), "producer %d, epoch %d: received sequence %d, expected %d",
			s.ProducerID, s.ProducerEpoch, s.First, next)
	}
	return d
}

// decideUnknown decides about the first batch of a producer that the table does not have.
func (t *Table) decideUnknown(s messages.Sequence, firstUnacked int32) Decision {
	d := Decision{}.decideFirst(s, firstUnacked)
	if d.Result == Accept && !t.hasRoom() {
		return d.refuse(protocol.CodeTooManyProducers, "the partition remembers at most %d producers", t.limit)
	}
	return d
}

// decideFirst decides about a batch when no sequence of its producer is known. Without a
// first unacked sequence only 0 can be right: any other batch may have predecessors that
// are still on their way.
func (d Decision) decideFirst(s messages.Sequence, firstUnacked int32) Decision {
	switch {
	case firstUnacked == protocol.NotSaid && s.First != 0:
		return d.refuse(protocol.CodeUnknownProducer, "producer %d, epoch %d, sequence %d", s.ProducerID, s.ProducerEpoch, s.First)
	case firstUnacked != protocol.NotSaid && firstUnacked != s.First:
		return d.refuse(protocol.CodeOutOfOrderSequence, "producer %d, epoch %d: received sequence %d, expected %d, its first unacked one",
			s.ProducerID, s.ProducerEpoch, s.First, firstUnacked)
	}
	return d
}

// outOfOrder returns the code for a batch that is not the producer's next one. A retry can
// help, because the batches before it may still arrive. If the producer reports that it
// has no unacked batch before this one, none will arrive, and the error is final.
func outOfOrder(s messages.Sequence, firstUnacked int32) protocol.Code {
	if firstUnacked == s.First {
		return protocol.CodeOutOfOrderFinal
	}
	return protocol.CodeOutOfOrderSequence
}

func (d Decision) refuse(code protocol.Code, format string, args ...any) Decision {
	d.Result, d.Refusal = Refuse, protocol.NewError(code, fmt.Sprintf(format, args...))
	return d
}

// repeated reports whether a batch of the known epoch is in flight or committed, and sets the
// result of d if it is. The batches in flight are searched first. If the known epoch started
// there, the committed batches have a lower epoch, in which the same sequences mean other
// batches.
func (p *Producer) repeated(first, last int32, d *Decision) bool {
	if p.flight != nil {
		f, restarted := p.flight.find(first, last)
		if f != nil {
			if f.original == nil {
				f.original = &Original{}
			}
			d.Result, d.Original = DuplicateInFlight, f.original
			return true
		}
		if restarted {
			return false // the committed batches are of a lower epoch
		}
	}
	if b := p.committed(first, last); b != nil {
		d.Result, d.Offset = Duplicate, b.offset
		return true
	}
	return false
}

// knownEpoch returns the epoch of the newest batch or fence, in flight or committed.
func (p *Producer) knownEpoch() int16 {
	if p.flight != nil {
		return p.flight.newest().epoch
	}
	return p.epoch
}

// startsHistory reports whether no batch of the producer is known, in flight or committed,
// and no fence in flight gives it the history of another one.
func (p *Producer) startsHistory() bool {
	_, some := p.knownLast()
	return !some && (p.flight == nil || p.flight.predecessor() == nil)
}

// knownLast returns the sequence of the newest record, in flight or committed.
func (p *Producer) knownLast() (last int32, some bool) {
	if p.flight != nil {
		if f := p.flight.newestBatch(); f != nil {
			return f.last, true
		}
	}
	if b := p.newest(); b != nil {
		return b.last, true
	}
	return 0, false
}
