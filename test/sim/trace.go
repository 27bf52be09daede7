package sim

import (
	"bytes"
	"fmt"
	"time"

	"laneway.dev/pkg/messages"
	frontend "laneway.dev/services/frontend/core"
	"laneway.dev/test/sim/describe"
)

// Trace keeps what happens in a run, for people.
type Trace struct {
	title  string
	head   string
	text   bytes.Buffer
	events events
}

func (t *Trace) line(at time.Duration, format string, args ...any) {
	fmt.Fprintf(&t.text, "%10.4f  ", at.Seconds())
	fmt.Fprintf(&t.text, format, args...)
	t.noted(at, fmt.Sprintf(format, args...))
	t.text.WriteByte('\n')
}

// String returns the trace: what is run, how it is read, and a line for each thing that
// happened.
func (t *Trace) String() string { return t.head + t.text.String() }

// arrival tells what it is that arrives.
func arrival(arrived any) string {
	if m, is := arrived.(messages.Message); is {
		return describe.Message(m)
	}
	return fmt.Sprint(arrived)
}

func outcome(a frontend.Answer) string {
	switch {
	case a.Error != nil:
		return a.Error.Error()
	case a.Duplicate:
		return fmt.Sprintf("a duplicate of offset %d", a.Offset)
	default:
		return fmt.Sprintf("offset %d", a.Offset)
	}
}

// meets writes a line about what happens to a message on its way.
func (w *world) meets(what string, from, to *process, data []byte) {
	if w.trace == nil {
		return
	}
	if m, err := messages.Decode(data); err == nil {
		w.say("  ! %s: %s to %s, %s", what, from, to, describe.Message(m))
	}
}
