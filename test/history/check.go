package history

import (
	"errors"
	"fmt"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/test/load"
)

// ErrDisorder says that batches of one producer are not in the order in which
// they were sent.
var ErrDisorder = errors.New("the order is lost")

// mostFaults bounds what one check reports: one fault mostly brings many.
const mostFaults = 10

// faults gathers what a check finds.
type faults struct {
	first []error
	more  int
}

func (f *faults) add(format string, arguments ...any) {
	if len(f.first) == mostFaults {
		f.more++
		return
	}
	f.first = append(f.first, fmt.Errorf(format, arguments...))
}

func (f *faults) err() error {
	if f.more > 0 {
		f.first = append(f.first, fmt.Errorf("and %d more", f.more))
	}
	return errors.Join(f.first...)
}

// Dense checks that the records have the offsets from 0 on, without a gap but those
// that the consumer has received.
func Dense(records []Record) error {
	var f faults
	var next int64
	for i, r := range records {
		if next += r.Gap; r.Offset != next {
			f.add("record %d (%q) has offset %d, want %d", i, r.Value, r.Offset, next)
		}
		next = r.Offset + 1
	}
	return f.err()
}

// SendOrder checks that the records of each producer come in the order in which
// it sent them, and none twice.
func SendOrder(records []Record) error {
	var f faults
	last := make(map[string]int)
	for _, r := range records {
		producer, n, err := load.ParseValue(r.Value)
		if err != nil {
			f.add("offset %d: %w", r.Offset, err)
			continue
		}
		if before, known := last[producer]; known && n <= before {
			f.add("%w: %q at offset %d stands behind %q", ErrDisorder, r.Value, r.Offset, load.Value(producer, before))
		}
		last[producer] = n
	}
	return f.err()
}

// Acknowledged checks that every acknowledged batch is there once, at its
// offset, that nothing is there twice, and nothing that was not sent, refused
// or lost.
func Acknowledged(records []Record, sent map[string][]load.Batch) error {
	var f faults
	places := make(map[string][]int64, len(records))
	for _, r := range records {
		places[r.Value] = append(places[r.Value], r.Offset)
	}
	for _, batches := range sent {
		for i := range batches {
			b := &batches[i]
			if fault := misplaced(b, places[b.Value]); fault != "" {
				f.add("%q is %s: offsets %v", b.Value, fault, places[b.Value])
			}
			delete(places, b.Value)
		}
	}
	for value, at := range places {
		f.add("%q was not sent by these producers: offsets %v", value, at)
	}
	return f.err()
}

// misplaced says what is wrong with where a batch stands; empty if nothing is.
func misplaced(b *load.Batch, at []int64) string {
	switch {
	case len(at) > 1:
		return "there more than once"
	case b.Ack != nil && len(at) == 0:
		return fmt.Sprintf("acknowledged at %d and missing", b.Ack.Offset)
	case b.Ack != nil && at[0] != b.Ack.Offset:
		return fmt.Sprintf("acknowledged at %d and elsewhere", b.Ack.Offset)
	case b.Lost && len(at) > 0:
		return "in the log, although no service took it"
	case b.Error != nil && len(at) > 0 && definite(b.Error):
		return fmt.Sprintf("there, though the answer was %v", b.Error)
	}
	return ""
}

// definite says whether an error promises that the batch is not in the log.
func definite(e *protocol.Error) bool { return e.Code != protocol.CodeOutcomeUnknown }

// Answers checks that the answers of each producer came in the order in which
// it sent, with rising tickets and offsets. A request that was rejected before it
// had a ticket is answered at once. A frontend that was frozen may send the
// acknowledgements of its epoch later than its successor: they are true.
func Answers(sent map[string][]load.Batch) error {
	var f faults
	for _, batches := range sent {
		var before *load.Batch // answered
		var acked *load.Batch
		for i := range batches {
			b := &batches[i]
			if b.Ack == nil && (b.Error == nil || mayHaveNoTicket(b.Error)) {
				continue // a loss is reported by the server, at once
			}
			if before != nil && b.Answered < before.Answered && !ofLaterEpoch(b.Ack, before.Ack) {
				f.add("%w: %q is answered before %q", ErrDisorder, b.Value, before.Value)
			}
			before = b
			if b.Ack == nil {
				continue
			}
			if acked != nil && !follows(b.Ack, acked.Ack) {
				f.add("%w: %q has offset %d and ticket %d, %q before it %d and %d", ErrDisorder,
					b.Value, b.Ack.Offset, b.Ack.Ticket, acked.Value, acked.Ack.Offset, acked.Ack.Ticket)
			}
			acked = b
		}
	}
	return f.err()
}

// ofLaterEpoch says whether a is the acknowledgement of a later frontend than the one before it.
func ofLaterEpoch(a, before *protocol.ProduceAck) bool {
	return a != nil && before != nil && a.Epoch > before.Epoch
}

// mayHaveNoTicket says whether an error may be that of a rejection.
func mayHaveNoTicket(e *protocol.Error) bool {
	return e.Code == protocol.CodeUnavailable || e.Code == protocol.CodeOverloaded
}

// follows says whether an acknowledgement may come behind another one of its lane.
func follows(a, before *protocol.ProduceAck) bool {
	return a.Offset > before.Offset && (a.Epoch > before.Epoch || a.Epoch == before.Epoch && a.Ticket > before.Ticket)
}

// AllAnswered checks that every batch was acknowledged or got an error, and
// returns how many of each there are.
func AllAnswered(sent map[string][]load.Batch) (acked, refused int, err error) {
	var f faults
	for _, batches := range sent {
		for i := range batches {
			switch b := &batches[i]; {
			case b.Ack != nil:
				acked++
			case b.Error != nil:
				refused++
			default:
				f.add("%q has no answer", b.Value)
			}
		}
	}
	return acked, refused, f.err()
}

// lane names a lane forever.
type lane struct {
	epoch uint64
	name  string
}

// Log checks the entries of a partition's log: offsets are dense, frontend
// epochs never fall, and the tickets of a lane rise, so that none is there twice.
// A log may have lost its beginning only as far as the last entry says that it is
// archived.
func Log(entries []messages.LoggedEntry) error {
	var f faults
	var next int64
	var epoch uint64
	var before messages.LoggedEntry
	if len(entries) > 0 {
		first, history := &entries[0], entries[len(entries)-1].Entry.History
		if begin := first.Entry.BaseOffset - first.Entry.Gap; history.Archived() && !first.Entry.Created && begin <= history.End.Offset {
			next = begin
		}
		if history.Archived() && first.Sequence > history.End.Sequence+1 {
			f.add("the log begins with entry %d, archived are those up to %d", first.Sequence, history.End.Sequence)
		}
	}
	last := make(map[lane]uint64)
	for i := range entries {
		e := &entries[i].Entry
		if e.BaseOffset-e.Gap != next {
			f.add("entry %d begins at offset %d, the one before ends at %d", entries[i].Sequence, e.BaseOffset, next)
		}
		if i > 0 && entries[i].Sequence != before.Sequence+1 {
			f.add("entry %d follows entry %d", entries[i].Sequence, before.Sequence)
		}
		if h, was := e.History, before.Entry.History; h.End.Sequence < was.End.Sequence || h.End.Offset < was.End.Offset || h.Start < was.Start {
			f.add("entry %d has the history %+v, the one before %+v", entries[i].Sequence, h, was)
		}
		before = entries[i]
		next = e.NextOffset()
		if len(e.Batches) > 0 && e.Epoch < epoch {
			f.add("entry %d is of epoch %d, one before of %d", entries[i].Sequence, e.Epoch, epoch)
		}
		epoch = max(epoch, e.Epoch)
		for _, b := range e.Batches {
			of := lane{e.Epoch, b.Lane}
			if b.Number <= last[of] {
				f.add("%w: lane %q, epoch %d: ticket %d stands behind %d", ErrDisorder, b.Lane, e.Epoch, b.Number, last[of])
			}
			last[of] = b.Number
		}
	}
	return f.err()
}
