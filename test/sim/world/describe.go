package world

import (
	"fmt"

	"laneway.dev/pkg/protocol"
	"laneway.dev/test/sim/describe"
)

// describeEvent returns what arrives at a process in words.
func describeEvent(e Event) string {
	if m, is := e.(*Message); is {
		return describe.Message(m.Decode())
	}
	return fmt.Sprint(e)
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
