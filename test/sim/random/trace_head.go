package random

import (
	"fmt"
	"strings"
)

// reading says how a trace is read.
const reading = `
How to read this: times are seconds. What a process or client does or suffers is at the
left; what it gets, and what happens to messages, uploads and journals, is indented; "!"
is a fault. "i:2 ticket 5, 6 (floor 4)" are two tickets of the lane of producer 2, of
which all below 4 are resolved. "client-1.2" is client 1 in its third life. If there are
several partitions, their names stand before what is said of them. A "+" joins messages
that travel together. "group 9 of replicator-4" is what this process appended to the logs
of some partitions at once.

`

// begin writes the head of the trace of a run that has been made. t may be nil.
func (t *Trace) begin(r *run) {
	if t == nil {
		return
	}
	t.title = r.config.title()
	var text strings.Builder
	fmt.Fprintf(&text, "%s\n\nagain:  %s\nfaults: %s\n", t.title, r.config.Command(), r.config)
	for _, c := range r.clients {
		where := ""
		if len(r.Partitions) > 1 {
			where = fmt.Sprintf("; it writes to %s", r.Partitions[c.Partition].ID)
		}
		fmt.Fprintf(&text, "%s%s\n", c.kind(r.limits.SlowClient), where)
	}
	t.several = len(r.Partitions) > 1
	t.head = text.String() + reading
}

// title names a run.
func (c Config) title() string {
	if c.Mix.Name == "" {
		return fmt.Sprintf("seed %d, faults of its own", c.Seed)
	}
	return fmt.Sprintf("seed %d, mix %q", c.Seed, c.Mix.Name)
}

// kind returns in words what a client is.
func (c *client) kind(slow int) string {
	text := fmt.Sprintf("client-%d, lane %s: ", c.Number, c.Lane)
	switch {
	case c.repeats:
		text += "no producer id; its batches have ids, and are sent again"
	case c.Plain:
		text += "no producer id; it sends nothing twice"
	case c.named:
		text += "an idempotent producer with a name, that may be replaced"
	case c.restarts:
		text += "an idempotent producer, that starts its next epoch when most is sent"
	default:
		text += "an idempotent producer"
	}
	if c.Number == slow {
		text += "; its uploads are slow"
	}
	return text
}
