package partition

import (
	"fmt"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// tail is the end of the log, counting all accepted batches. Expectations are compared with
// it rather than with the durable end, so that a producer can send the next batch before the
// previous one is acknowledged. A tail is valid only while the core leads: if an append
// fails, the next term takes the tail from the log, and the rejections that rest on the old
// one are dropped.
type tail struct {
	offset    int64  // the next free offset
	messageID string // of the last batch; empty if that has none
}

// check compares the tail with what a producer expects, and returns why the batch is
// rejected, or nil. The sequence of a record in acknowledgements and expectations is its
// offset plus one. With a next free offset of 7, the last record has offset 6 and sequence 7.
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
