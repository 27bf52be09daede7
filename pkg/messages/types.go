package messages

import (
	"fmt"
	"math"
)

// Partition names one partition of one incarnation of a topic. Epochs, terms
// and sequences start again when a topic is deleted and created again, so the
// topic's id takes part in every comparison. So does the incarnation of the
// partition's log: a log that lost entries is continued in another stream.
type Partition struct {
	Topic   string
	TopicID uint64
	Number  int32
	// Incarnation counts the streams that have held the partition's log, from 0.
	Incarnation uint32
}

// String returns the form used in logs: topic/partition.
func (p Partition) String() string { return fmt.Sprintf("%s/%d", p.Topic, p.Number) }

// Trace is a W3C trace context as it travels inside messages; empty is none.
type Trace struct {
	Parent string // traceparent
	State  string // tracestate
}

// Extent is where a batch lies: a range of bytes in one object, and its CRC-32C.
type Extent struct {
	Key    string
	Offset int64
	Length int64
	CRC    uint32
}

// Expectation is what a producer requires the partition's last record to be;
// the zero value requires nothing.
type Expectation struct {
	HasSequence bool
	Sequence    uint64 // of the last record: its offset plus one; 0 is an empty partition
	MessageID   string // of the last batch; empty is not required
}

// Placeholder is what the log keeps of a batch instead of its payload.
type Placeholder struct {
	Lane      string
	Number    uint64 // ticket number within the lane
	Floor     uint64 // the lane's floor as known when the message was made
	Records   uint32
	Extent    Extent
	MessageID string   // Nats-Msg-Id; empty is none
	Sequence  Sequence // zero without a producer id
}

// StagedBatch is a batch whose payload is durable in the object store.
type StagedBatch struct {
	Placeholder
	FirstUnacked int32 // see StageBatch; the log does not keep it
	Expect       Expectation
	Trace        Trace
}

// StageBatch is a batch to be staged: one batch frame with its ticket.
type StageBatch struct {
	Lane      string
	Number    uint64
	Floor     uint64
	Attempt   uint32 // counts the stagings of this ticket from 1
	Remaining int64  // milliseconds until the producer is answered anyway; a stager drops the batch after them
	Records   uint32
	MessageID string
	Sequence  Sequence
	// FirstUnacked is the first sequence of the producer's lowest batch that it
	// had no OK for when it sent this one, or NotSaid. The producer promises never
	// to send below it again.
	FirstUnacked int32
	Expect       Expectation
	Trace        Trace
	Payload      []byte
}

// LaneProgress tells how far a lane is: its floor and the highest number issued.
type LaneProgress struct {
	Lane    string
	Floor   uint64
	Highest uint64
}

// LaneNumbers names some tickets of a lane.
type LaneNumbers struct {
	Lane    string
	Numbers []uint64
}

// Refusal says that a stager did not stage a batch, and why.
type Refusal struct {
	Lane    string
	Number  uint64
	Attempt uint32
	Code    Code
	Detail  string
}

// Outcome is the replicator's answer about one ticket. Offset and Duplicate
// have a meaning only when Code is OK, Detail only when it is not.
type Outcome struct {
	Lane      string
	Number    uint64
	Code      Code
	Offset    int64
	Duplicate bool // the message id was seen before; Offset is the original one
	Detail    string
}

func (x Extent) encode(e *encoder) {
	e.string(x.Key)
	e.int(x.Offset)
	e.int(x.Length)
	e.uint(uint64(x.CRC))
}

func decodeExtent(d *decoder) Extent {
	x := Extent{Key: d.string(), Offset: d.natural(), Length: d.natural(), CRC: d.uint32()}
	x.check(d)
	return x
}

// check refuses an extent whose end is beyond every object, so that readers may
// add Offset and Length.
func (x Extent) check(d *decoder) {
	if x.Offset > math.MaxInt64-x.Length {
		d.fail("extent of %d bytes at %d", x.Length, x.Offset)
	}
}

func (t Trace) encode(e *encoder) {
	e.string(t.Parent)
	e.string(t.State)
}

func decodeTrace(d *decoder) Trace { return Trace{Parent: d.string(), State: d.string()} }

func (x Expectation) encode(e *encoder) {
	e.bool(x.HasSequence)
	e.uint(x.Sequence)
	e.string(x.MessageID)
}

func decodeExpectation(d *decoder) Expectation {
	return Expectation{HasSequence: d.bool(), Sequence: d.uint(), MessageID: d.string()}
}

func encodeStagedBatch(e *encoder, b *StagedBatch) {
	e.array(18)
	e.string(b.Lane)
	e.uint(b.Number)
	e.uint(b.Floor)
	e.uint(uint64(b.Records))
	b.Extent.encode(e)
	e.string(b.MessageID)
	encodeSequence(e, b.Sequence)
	e.int(int64(b.FirstUnacked))
	b.Expect.encode(e)
	b.Trace.encode(e)
}

func decodeStagedBatch(d *decoder) StagedBatch {
	d.fields(18)
	return StagedBatch{
		Placeholder: Placeholder{
			Lane: d.string(), Number: d.uint(), Floor: d.uint(), Records: d.uint32(),
			Extent: decodeExtent(d), MessageID: d.string(), Sequence: decodeSequence(d),
		},
		FirstUnacked: decodeFirstUnacked(d),
		Expect:       decodeExpectation(d),
		Trace:        decodeTrace(d),
	}
}

func encodeStageBatch(e *encoder, b *StageBatch) {
	e.array(17)
	e.string(b.Lane)
	e.uint(b.Number)
	e.uint(b.Floor)
	e.uint(uint64(b.Attempt))
	e.int(b.Remaining)
	e.uint(uint64(b.Records))
	e.string(b.MessageID)
	encodeSequence(e, b.Sequence)
	e.int(int64(b.FirstUnacked))
	b.Expect.encode(e)
	b.Trace.encode(e)
	e.bytes(b.Payload)
}

func decodeStageBatch(d *decoder) StageBatch {
	d.fields(17)
	return StageBatch{
		Lane: d.string(), Number: d.uint(), Floor: d.uint(), Attempt: d.uint32(), Remaining: d.int(), Records: d.uint32(),
		MessageID: d.string(), Sequence: decodeSequence(d), FirstUnacked: decodeFirstUnacked(d),
		Expect: decodeExpectation(d), Trace: decodeTrace(d), Payload: d.bytes(),
	}
}

func encodeLaneProgress(e *encoder, p *LaneProgress) {
	e.array(3)
	e.string(p.Lane)
	e.uint(p.Floor)
	e.uint(p.Highest)
}

func decodeLaneProgress(d *decoder) LaneProgress {
	d.fields(3)
	return LaneProgress{Lane: d.string(), Floor: d.uint(), Highest: d.uint()}
}

func encodeLaneNumbers(e *encoder, l *LaneNumbers) {
	e.array(2)
	e.string(l.Lane)
	writeList(e, l.Numbers, func(e *encoder, n *uint64) { e.uint(*n) })
}

func decodeLaneNumbers(d *decoder) LaneNumbers {
	d.fields(2)
	return LaneNumbers{Lane: d.string(), Numbers: list(d, (*decoder).uint)}
}

func encodeRefusal(e *encoder, r *Refusal) {
	e.array(5)
	e.string(r.Lane)
	e.uint(r.Number)
	e.uint(uint64(r.Attempt))
	e.uint(uint64(r.Code))
	e.string(r.Detail)
}

func decodeRefusal(d *decoder) Refusal {
	d.fields(5)
	return Refusal{Lane: d.string(), Number: d.uint(), Attempt: d.uint32(), Code: d.code(), Detail: d.string()}
}

func encodeOutcome(e *encoder, o *Outcome) {
	e.array(6)
	e.string(o.Lane)
	e.uint(o.Number)
	e.uint(uint64(o.Code))
	e.int(o.Offset)
	e.bool(o.Duplicate)
	e.string(o.Detail)
}

func decodeOutcome(d *decoder) Outcome {
	d.fields(6)
	return Outcome{
		Lane: d.string(), Number: d.uint(), Code: d.code(), Offset: d.natural(), Duplicate: d.bool(), Detail: d.string(),
	}
}
