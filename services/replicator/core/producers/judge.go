package producers

import (
	"fmt"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// Verdict says what is to become of a batch.
type Verdict int

const (
	// Accept says that the batch is the producer's next one.
	Accept Verdict = iota
	// Duplicate says that the batch is in the log, at Judgement.Offset.
	Duplicate
	// Joins says that the batch is in flight already, and shares the fate of Judgement.Original.
	Joins
	// Refuse says that the batch must not be appended, for Judgement.Refusal.
	Refuse
)

// Original is a batch in flight that another one repeats. Its offset is there
// once it is committed, which is before the other one's turn comes.
type Original struct{ Offset int64 }

// Judgement is what Judge says of a batch.
type Judgement struct {
	Verdict  Verdict
	Offset   int64
	Original *Original
	Refusal  *protocol.Error

	producer *Producer // nil if it is not known
	restarts bool      // the batch begins a new epoch, and the history with it
}

// Judge says what is to become of a batch that has its turn, counting everything
// that is in flight. firstUnacked is what the producer says of itself, or
// protocol.NotSaid. Nothing changes by it but that batches in flight may note who
// repeats them.
//
// The rules stand in this order: the epoch, which for a named producer is one that
// init gave it; the batch is known; it follows the last one; anything else is out of order. A producer that is not known, or that
// was forgotten, begins wherever its first unacked batch is. Kafka lets it begin
// anywhere (KIP-360), so that its second batch may be accepted instead of its
// first one, which then never is (redpanda#30937).
func (t *Table) Judge(s messages.Sequence, records uint32, firstUnacked int32) Judgement {
	p := t.byID[s.ProducerID]
	if p == nil {
		return t.judgeUnknown(s, firstUnacked)
	}
	j := Judgement{producer: p}
	epoch := p.knownEpoch()
	switch {
	case s.ProducerEpoch < epoch:
		return j.refuse(protocol.CodeInvalidEpoch, "producer %d has epoch %d, the batch is of epoch %d", s.ProducerID, epoch, s.ProducerEpoch)
	case s.ProducerEpoch > epoch && p.named != nil:
		return j.refuse(protocol.CodeEpochNotGiven, "producer %d, which is %q, has epoch %d here, the batch is of epoch %d",
			s.ProducerID, p.name(), epoch, s.ProducerEpoch)
	case s.ProducerEpoch > epoch && s.First != 0:
		return j.refuse(outOfOrder(s, firstUnacked), "the first batch of producer %d in epoch %d has sequence %d, it must be 0",
			s.ProducerID, s.ProducerEpoch, s.First)
	case s.ProducerEpoch > epoch:
		j.restarts = true
		return j
	}
	if p.repeated(s.First, s.Last(records), &j) {
		return j
	}
	last, some := p.knownLast()
	switch next := protocol.AddSequence(last, 1); {
	case !some:
		return j.begin(s, firstUnacked)
	case s.First != next:
		return j.refuse(outOfOrder(s, firstUnacked), "producer %d, epoch %d: sequence %d came, %d is next",
			s.ProducerID, s.ProducerEpoch, s.First, next)
	}
	return j
}

func (t *Table) judgeUnknown(s messages.Sequence, firstUnacked int32) Judgement {
	j := Judgement{}.begin(s, firstUnacked)
	if j.Verdict == Accept && !t.hasRoom() {
		return j.refuse(protocol.CodeTooManyProducers, "%d are remembered, the limit", t.limit)
	}
	return j
}

// begin judges the batch of a producer of which no sequence is known.
func (j Judgement) begin(s messages.Sequence, firstUnacked int32) Judgement {
	switch {
	case firstUnacked == protocol.NotSaid && s.First != 0:
		return j.refuse(protocol.CodeUnknownProducer, "producer %d, epoch %d, sequence %d", s.ProducerID, s.ProducerEpoch, s.First)
	case firstUnacked != protocol.NotSaid && firstUnacked != s.First:
		return j.refuse(protocol.CodeOutOfOrderSequence, "producer %d, epoch %d: sequence %d came, %d is to come first",
			s.ProducerID, s.ProducerEpoch, s.First, firstUnacked)
	}
	return j
}

// outOfOrder is the code for a batch that is not the producer's next one. What comes
// before it may be on its way, unless the producer says that there is nothing.
func outOfOrder(s messages.Sequence, firstUnacked int32) protocol.Code {
	if firstUnacked == s.First {
		return protocol.CodeOutOfOrderFinal
	}
	return protocol.CodeOutOfOrderSequence
}

func (j Judgement) refuse(code protocol.Code, format string, args ...any) Judgement {
	j.Verdict, j.Refusal = Refuse, protocol.NewError(code, fmt.Sprintf(format, args...))
	return j
}

// repeated says whether a batch of the known epoch is in flight or committed.
func (p *Producer) repeated(first, last int32, j *Judgement) bool {
	if p.flight != nil {
		f, restarted := p.flight.find(first, last)
		if f != nil {
			if f.original == nil {
				f.original = &Original{}
			}
			j.Verdict, j.Original = Joins, f.original
			return true
		}
		if restarted {
			return false // what is committed is of an epoch before
		}
	}
	if b := p.committed(first, last); b != nil {
		j.Verdict, j.Offset = Duplicate, b.offset
		return true
	}
	return false
}

// knownEpoch is that of the newest batch or fence, in flight or committed.
func (p *Producer) knownEpoch() int16 {
	if p.flight != nil {
		return p.flight.newest().epoch
	}
	return p.epoch
}

// beginsAnew reports whether no batch of the producer is known, in flight or committed,
// and no fence in flight gives it the history of another one.
func (p *Producer) beginsAnew() bool {
	_, some := p.knownLast()
	return !some && (p.flight == nil || p.flight.before() == nil)
}

// knownLast is the sequence of the newest record, in flight or committed.
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
