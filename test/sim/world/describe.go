package world

import (
	"fmt"
	"strings"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/test/sim/describe"
)

// describeEvent returns what arrives at a process in words.
func (w *World) describeEvent(e Event) string {
	if m, is := e.(*Message); is {
		return w.Describe(m)
	}
	return fmt.Sprint(e)
}

// Describe returns the messages of a parcel in words. If there are several partitions, it names theirs.
func (w *World) Describe(m *Message) string {
	var all []string
	m.Each(func(m messages.Message) {
		text := describe.Message(m)
		if len(w.ids) > 1 {
			text = m.Of().String() + ": " + text
		}
		all = append(all, text)
	})
	return strings.Join(all, " + ")
}

// describeFetch returns a request in words.
func describeFetch(r protocol.FetchRequest) string {
	text := ", " + r.From
	switch {
	case r.Offset != nil:
		text = fmt.Sprintf(" from offset %d", *r.Offset)
	case r.Time != nil:
		text = fmt.Sprintf(" from %.4f", r.Time.Sub(Beginning).Seconds())
	}
	if r.WindowBytes > 0 {
		text += fmt.Sprintf(", a window of %d bytes", r.WindowBytes)
	}
	if r.MaxRecords > 0 {
		text += fmt.Sprintf(", up to %d records", r.MaxRecords)
	}
	if r.MaxWait > 0 {
		text += fmt.Sprintf(", waiting %d ms", r.MaxWait)
	}
	if r.Follow {
		text += ", following"
	}
	return text
}
