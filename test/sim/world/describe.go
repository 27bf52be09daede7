package world

import (
	"fmt"

	"laneway.dev/test/sim/describe"
)

// describeEvent returns what arrives at a process in words.
func describeEvent(e Event) string {
	if m, is := e.(*Message); is {
		return describe.Message(m.Decode())
	}
	return fmt.Sprint(e)
}
