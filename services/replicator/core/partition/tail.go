package partition

import (
	"fmt"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// tail is where the log ends once everything that was accepted is in it. It
// means something only while the core leads: when an append fails, it is taken
// from the log again, and the rejections that rest on it are forgotten.
type tail struct {
	offset    int64  // the next free one
	messageID string // of the last batch; empty if it has none
}

// check compares the tail with what a producer expects. A sequence is an offset
// plus one, so that the last one is the next free offset.
func (t tail) check(x messages.Expectation) *protocol.Error {
	switch {
	case x.MessageID != "" && x.MessageID != t.messageID:
		return protocol.NewError(protocol.CodeWrongLastID, t.messageID)
	case x.HasSequence && x.Sequence != uint64(t.offset):
		return protocol.NewError(protocol.CodeWrongLastSequence, fmt.Sprint(t.offset))
	default:
		return nil
	}
}
