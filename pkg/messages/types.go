package messages

import (
	"laneway.dev/pkg/internal/codec"
	"laneway.dev/pkg/protocol"
)

// Trace is a W3C trace context as it travels inside messages; empty is none.
type Trace struct {
	Parent string // traceparent
	State  string // tracestate
}

// Expectation is what a producer requires of the partition's last record. The
// zero value requires nothing.
type Expectation struct {
	HasSequence bool
	Sequence    uint64 // of the last record: its offset plus one; 0 is an empty partition
	MessageID   string // of the last batch; empty is not required
}

// Ticket is the place of a batch in its lane. Partition and frontend epoch, which complete
// it, stand in the message or entry around it.
type Ticket struct {
	Lane   string
	Number uint64 // above 0; rises within the lane
}

// Batch is what identifies a batch from its ticket to the log.
type Batch struct {
	Ticket
	Floor     uint64 // the lane's floor as known when the message was made
	Records   uint32
	MessageID string   // Nats-Msg-Id; empty is none
	Sequence  Sequence // zero without a producer id
}

// Submission is a batch with what its producer asks for, which the log does not keep.
type Submission struct {
	Batch
	// FirstUnacked is the producer sequence of the lowest batch that had no OK when the
	// producer sent this one, or protocol.NotSaid. The producer MUST NOT send a batch with a
	// lower producer sequence after that.
	FirstUnacked int32
	Expect       Expectation
	Trace        Trace
}

// StageBatch is a batch to be staged: one batch frame with its ticket.
type StageBatch struct {
	Submission
	Attempt   uint32 // counts the stagings of this ticket from 1
	Remaining int64  // milliseconds until the producer is answered anyway; a stager drops the batch after them
	Payload   []byte
	// MaxRecordBytes is above 0 if the payload is a compressed frame, whose records the
	// frontend has not checked. The stager MUST check them with protocol.CheckFrame and this
	// limit, and MUST NOT stage a frame that fails or has another number of records.
	MaxRecordBytes uint32
	// Inline allows the stager to return the payload instead of storing it.
	Inline bool
}

// StagedBatch is a batch whose payload is durable in the object store, or that carries it.
type StagedBatch struct {
	Submission
	Extent Extent // of an inline batch, only Length and CRC are set
	// Inline is the batch frame of an inline batch. The append to the log makes it durable. It
	// aliases the message from which it was decoded.
	Inline []byte
	// Withheld marks an inline batch that is released again, without its frame. A replicator
	// that needs the frame asks for the release with ReleaseAgain.
	Withheld bool
}

// Placeholder returns what the log keeps of the batch.
func (b *StagedBatch) Placeholder() Placeholder {
	return Placeholder{Batch: b.Batch, Extent: b.Extent, Inline: b.Inline}
}

// Placeholder is what the log keeps of a batch: where its payload is, or the payload of an inline
// batch.
type Placeholder struct {
	Batch
	Extent Extent // of an inline batch, only Length and CRC are set
	Inline []byte // the batch frame of an inline batch; aliases the entry from which it was decoded
}

// IsInline reports whether the placeholder carries the payload of its batch.
func (p *Placeholder) IsInline() bool { return len(p.Inline) > 0 }

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
	Ticket
	Attempt uint32
	Code    protocol.Code
	Detail  string
}

// Held is an attempt to stage a batch that a stager works on.
type Held struct {
	Ticket
	Attempt uint32
}

// OutdatedResult is a staged result that the log refuses. Key is that of its object, because
// the ticket may have another result meanwhile.
type OutdatedResult struct {
	Ticket
	Key string
}

// Outcome is the replicator's answer about one ticket. Offset and Duplicate
// have a meaning only when Code is OK, Detail only when it is not.
type Outcome struct {
	Ticket
	Code      protocol.Code
	Offset    int64
	Duplicate bool // the message id or producer sequence is in the log already; Offset is that of the original
	Detail    string
}

func (t Trace) encode(e *codec.Encoder) {
	e.Text(t.Parent)
	e.Text(t.State)
}

func decodeTrace(d *codec.Decoder) Trace { return Trace{Parent: d.Text(), State: d.Text()} }

func (x Expectation) encode(e *codec.Encoder) {
	e.Bool(x.HasSequence)
	e.Uint(x.Sequence)
	e.Text(x.MessageID)
}

func decodeExpectation(d *codec.Decoder) Expectation {
	return Expectation{HasSequence: d.Bool(), Sequence: d.Uint(), MessageID: d.Text()}
}

// A ticket and a submission are not encoded as separate arrays: their fields are among those
// of the value that contains them.
const (
	ticketFields     = 2
	submissionFields = ticketFields + 12
)

func encodeTicket(e *codec.Encoder, t Ticket) {
	e.Text(t.Lane)
	e.Uint(t.Number)
}

func decodeTicket(d *codec.Decoder) Ticket { return Ticket{Lane: d.Text(), Number: d.Uint()} }

func encodeSubmission(e *codec.Encoder, b *Submission) {
	encodeTicket(e, b.Ticket)
	e.Uint(b.Floor)
	e.Uint(uint64(b.Records))
	e.Text(b.MessageID)
	encodeSequence(e, b.Sequence)
	e.Int(int64(b.FirstUnacked))
	b.Expect.encode(e)
	b.Trace.encode(e)
}

func decodeSubmission(d *codec.Decoder) Submission {
	return Submission{
		Batch: Batch{
			Ticket: decodeTicket(d), Floor: d.Uint(), Records: d.Uint32(), MessageID: d.Text(), Sequence: decodeSequence(d),
		},
		FirstUnacked: decodeFirstUnacked(d),
		Expect:       decodeExpectation(d),
		Trace:        decodeTrace(d),
	}
}

func encodeStagedBatch(e *codec.Encoder, b *StagedBatch) {
	if b.Withheld || len(b.Inline) > 0 {
		encodeInlineBatch(e, b)
		return
	}
	e.Array(submissionFields + b.Extent.fields())
	encodeSubmission(e, &b.Submission)
	b.Extent.encode(e)
}

func decodeStagedBatch(d *codec.Decoder) StagedBatch {
	fields := d.Array()
	if fields == submissionFields+inlineFields {
		return decodeInlineBatch(d)
	}
	if fields != submissionFields+extentFields && fields != submissionFields+blockExtentFields {
		d.Fail("staged batch of %d fields", fields)
	}
	return StagedBatch{Submission: decodeSubmission(d), Extent: decodeExtent(d, fields-submissionFields)}
}

func encodeStageBatch(e *codec.Encoder, b *StageBatch) {
	e.Array(submissionFields + 5)
	encodeSubmission(e, &b.Submission)
	e.Uint(uint64(b.Attempt))
	e.Int(b.Remaining)
	e.Uint(uint64(b.MaxRecordBytes))
	e.Bool(b.Inline)
	e.Bytes(b.Payload)
}

func decodeStageBatch(d *codec.Decoder) StageBatch {
	d.Fields(submissionFields + 5)
	return StageBatch{
		Submission: decodeSubmission(d), Attempt: d.Uint32(), Remaining: d.Int(), MaxRecordBytes: d.Uint32(), Inline: d.Bool(),
		Payload: d.Bytes(),
	}
}

func encodeLaneProgress(e *codec.Encoder, p *LaneProgress) {
	e.Array(3)
	e.Text(p.Lane)
	e.Uint(p.Floor)
	e.Uint(p.Highest)
}

func decodeLaneProgress(d *codec.Decoder) LaneProgress {
	d.Fields(3)
	return LaneProgress{Lane: d.Text(), Floor: d.Uint(), Highest: d.Uint()}
}

func encodeLaneNumbers(e *codec.Encoder, l *LaneNumbers) {
	e.Array(2)
	e.Text(l.Lane)
	codec.WriteList(e, l.Numbers, func(e *codec.Encoder, n *uint64) { e.Uint(*n) })
}

func decodeLaneNumbers(d *codec.Decoder) LaneNumbers {
	d.Fields(2)
	return LaneNumbers{Lane: d.Text(), Numbers: codec.List(d, (*codec.Decoder).Uint)}
}

func encodeRefusal(e *codec.Encoder, r *Refusal) {
	e.Array(ticketFields + 3)
	encodeTicket(e, r.Ticket)
	e.Uint(uint64(r.Attempt))
	e.Uint(uint64(r.Code))
	e.Text(r.Detail)
}

func decodeRefusal(d *codec.Decoder) Refusal {
	d.Fields(ticketFields + 3)
	return Refusal{Ticket: decodeTicket(d), Attempt: d.Uint32(), Code: protocol.Code(d.Uint16()), Detail: d.Text()}
}

func encodeHeld(e *codec.Encoder, h *Held) {
	e.Array(ticketFields + 1)
	encodeTicket(e, h.Ticket)
	e.Uint(uint64(h.Attempt))
}

func decodeHeld(d *codec.Decoder) Held {
	d.Fields(ticketFields + 1)
	return Held{Ticket: decodeTicket(d), Attempt: d.Uint32()}
}

func encodeOutdatedResult(e *codec.Encoder, r *OutdatedResult) {
	e.Array(ticketFields + 1)
	encodeTicket(e, r.Ticket)
	e.Text(r.Key)
}

func decodeOutdatedResult(d *codec.Decoder) OutdatedResult {
	d.Fields(ticketFields + 1)
	return OutdatedResult{Ticket: decodeTicket(d), Key: d.Text()}
}

func encodeOutcome(e *codec.Encoder, o *Outcome) {
	e.Array(ticketFields + 4)
	encodeTicket(e, o.Ticket)
	e.Uint(uint64(o.Code))
	e.Int(o.Offset)
	e.Bool(o.Duplicate)
	e.Text(o.Detail)
}

func decodeOutcome(d *codec.Decoder) Outcome {
	d.Fields(ticketFields + 4)
	return Outcome{
		Ticket: decodeTicket(d), Code: protocol.Code(d.Uint16()), Offset: d.Natural(), Duplicate: d.Bool(), Detail: d.Text(),
	}
}
