package random

import (
	"bytes"
	"fmt"
	"time"

	"laneway.dev/test/sim/world"
)

// Trace keeps what happens in a run, for people.
type Trace struct {
	title  string
	head   string
	text   bytes.Buffer
	events events

	several bool // there are several partitions
}

func (t *Trace) line(at time.Duration, format string, args ...any) {
	fmt.Fprintf(&t.text, "%10.4f  ", at.Seconds())
	fmt.Fprintf(&t.text, format, args...)
	t.noted(at, fmt.Sprintf(format, args...))
	t.text.WriteByte('\n')
}

// String returns the trace: the configuration, how to read the trace, and a line for
// each thing that happened.
func (t *Trace) String() string { return t.head + t.text.String() }

// meets writes a line about what happens to a message on its way.
func (r *run) meets(what string, from, to *world.Process, m *world.Message) {
	if r.trace != nil {
		r.Say("  ! %s: %s to %s, %s", what, from, to, r.Describe(m))
	}
}
