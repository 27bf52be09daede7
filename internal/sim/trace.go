package sim

import (
	"bytes"
	"fmt"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/services/frontend"
)

// Trace keeps what happens in a run, for people.
type Trace struct {
	text   bytes.Buffer
	events events
}

func (t *Trace) line(at time.Duration, format string, args ...any) {
	fmt.Fprintf(&t.text, "%10.4f  ", at.Seconds())
	fmt.Fprintf(&t.text, format, args...)
	t.noted(at, fmt.Sprintf(format, args...))
	t.text.WriteByte('\n')
}

// String returns the trace, a line for each thing that happened.
func (t *Trace) String() string { return t.text.String() }

// describe tells what it is that arrives.
func describe(arrived any) string {
	switch m := arrived.(type) {
	case *request:
		return m.String()
	case messages.Stage:
		return fmt.Sprintf("Stage of epoch %d: %s", m.Epoch, tickets(m.Batches, func(b *messages.StageBatch) (string, uint64, uint64) { return b.Lane, b.Number, b.Floor }))
	case messages.Staged:
		return fmt.Sprintf("Staged of epoch %d: %s", m.Epoch, tickets(m.Batches, placeOf))
	case messages.Release:
		return fmt.Sprintf("Release of epochs %d, %d: %s", m.Epoch, m.SequencerEpoch, tickets(m.Batches, placeOf))
	case messages.Outcomes:
		text := fmt.Sprintf("Outcomes of epoch %d:", m.Epoch)
		for _, o := range m.Outcomes {
			text += fmt.Sprintf(" %s/%d %s", o.Lane, o.Number, codeName(o.Code))
		}
		return text
	case messages.Committed:
		return fmt.Sprintf("Committed %d", m.Sequence)
	case messages.Advance:
		text := fmt.Sprintf("Advance of epoch %d:", m.Epoch)
		for _, l := range m.Lanes {
			text += fmt.Sprintf(" %s %d to %d", l.Lane, l.Floor, l.Highest)
		}
		return text
	}
	return fmt.Sprintf("%T%+v", arrived, arrived)
}

func placeOf(b *messages.StagedBatch) (lane string, number, floor uint64) {
	return b.Lane, b.Number, b.Floor
}

func tickets[T any](items []T, of func(*T) (lane string, number, floor uint64)) string {
	text := ""
	for i := range items {
		lane, number, floor := of(&items[i])
		text += fmt.Sprintf(" %s/%d(%d)", lane, number, floor)
	}
	return text
}

func codeName(c messages.Code) string {
	if c == messages.CodeOK {
		return "OK"
	}
	return c.Kind().Name
}

func outcome(a frontend.Answer) string {
	if a.Error != nil {
		return a.Error.Error()
	}
	return fmt.Sprintf("offset %d, duplicate %t", a.Offset, a.Duplicate)
}
