package sim

import (
	"fmt"
	"strings"
)

// reading says how a trace is read.
const reading = `
How to read this: times are seconds. What a process or client does or suffers is at the
left; what it gets, and what happens to messages, uploads and the log, is indented; "!"
is a fault. "i:2 ticket 5, 6 (floor 4)" are two tickets of the lane of producer 2, of
which all below 4 are resolved. "client-1.2" is client 1 in its third life.

`

// begin begins the trace of a world that has been made. t may be nil.
func (t *Trace) begin(w *world) {
	if t == nil {
		return
	}
	t.title = w.config.title()
	var text strings.Builder
	fmt.Fprintf(&text, "%s\n\nagain:  %s\nfaults: %s\n", t.title, w.config.Command(), w.config)
	for _, c := range w.clients {
		fmt.Fprintf(&text, "%s\n", c.kind())
	}
	t.head = text.String() + reading
}

// title names a run.
func (c Config) title() string {
	if c.Mix.Name == "" {
		return fmt.Sprintf("seed %d, faults of its own", c.Seed)
	}
	return fmt.Sprintf("seed %d, mix %q", c.Seed, c.Mix.Name)
}

// kind tells what a client is.
func (c *client) kind() string {
	text := fmt.Sprintf("client-%d, lane %s: ", c.number, c.key)
	switch {
	case c.repeats:
		text += "no producer id; its batches have ids, and are sent again"
	case c.plain:
		text += "no producer id; it sends nothing twice"
	case c.named:
		text += "an idempotent producer with a name, that may be replaced"
	case c.restarts:
		text += "an idempotent producer, that begins its next epoch when most is sent"
	default:
		text += "an idempotent producer"
	}
	if c.number == c.w.slowLane {
		text += "; its uploads are slow"
	}
	return text
}
