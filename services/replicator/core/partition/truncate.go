package partition

import (
	"fmt"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// Truncate handles a request to drop the records below an offset. It answers when the log start offset
// in the log is high enough, and remembers only the offset until then: the frontend repeats the request.
// Only archived records can be dropped, so the ones below the offset are archived first.
//
// A replaced owner may refuse an offset that its successor has given out. An answer without an error is
// true even then, because the log start offset never falls.
func (c *Core) Truncate(m messages.Truncate) {
	a := &c.archive
	answer := messages.Truncated{Partition: c.id, Asker: m.Asker, Request: m.Request, Start: a.history.Start}
	switch end := c.nextOffset; {
	case m.Before <= a.history.Start:
	case m.Before > end:
		answer.Code, answer.Detail = protocol.CodeInvalidRequest, fmt.Sprintf("before is %d, beyond the end of the partition: its next record gets the offset %d", m.Before, end)
	case c.settings.ArchiveBytes == 0:
		answer.Code = protocol.CodeInvalidRequest
		answer.Detail = "only archived records can be dropped, and this replicator archives nothing; start it without --archive-bytes 0"
	default:
		a.retention.before = max(a.retention.before, m.Before)
		return
	}
	c.answer(m.Asker, answer)
}
