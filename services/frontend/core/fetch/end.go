package fetch

import (
	"time"

	"laneway.dev/pkg/protocol"
)

// Errors that do not come from the log.
var (
	errDeleted      = protocol.NewError(protocol.CodeUnknownTopic, "the topic was deleted")
	errDisconnected = protocol.NewError(protocol.CodeUnavailable, "the frontend was disconnected from NATS; messages may be missing")
)

// failure is an error with the range of offsets that cannot be read because of it. The range
// starts at from and ends before next. Both are Unknown if no records are lost. next is
// Unknown if no record after from can be read.
type failure struct {
	err        *protocol.Error
	from, next int64
	logStart   int64 // as in Status
}

func failureOf(err *protocol.Error) failure { return failure{err, Unknown, Unknown, Unknown} }

func isCorrupt(err *protocol.Error) bool { return err != nil && err.Code == protocol.CodeCorrupt }

// failRange ends the fetch because the partition does not have an offset. If the offset is below the
// log start, the consumer may continue there.
func (c *Core) failRange(offset int64, log *LogState) {
	f := failureOf(protocol.Errorf(protocol.CodeOffsetOutOfRange, "%d, the partition has %d to %d", offset, log.Begin, log.Offset))
	f.logStart = log.Begin
	if offset >= 0 && offset < log.Begin {
		f.from, f.next = offset, log.Begin
	}
	c.failWith(f)
}

// notTheBatch returns the error for a payload that has the right checksum but not the content
// that the log describes.
func notTheBatch(b *batch, reason string) *protocol.Error {
	if b.inline != nil {
		return protocol.Errorf(protocol.CodeCorrupt, "the payload in log entry %d is corrupt: %s", b.sequence, reason)
	}
	x := &b.extent
	return protocol.Errorf(protocol.CodeCorrupt, "object %q is corrupt at offset %d, length %d: %s", x.Key, x.Offset, x.Length, reason)
}

// atEnd is called when the fetch has delivered everything up to the known end of the log. It
// ends the fetch, or returns true if the fetch waits for more records.
//
// After a disconnection the end may be below what was delivered. Either the log has lost
// records, because its server was restarted without its last writes, or the known end is
// only older than the place of the fetch. A look-up decides which.
func (c *Core) atEnd(now time.Time) (waits bool) {
	var deadline time.Time
	if !c.request.Follow {
		if c.records > 0 || c.request.wait == 0 {
			if c.known.Damage != nil && c.known.Offset <= c.offset {
				c.failLost(c.known.Damage, c.offset, Unknown)
			} else {
				c.finish(protocol.StatusEnd, "the end of the partition is reached")
			}
			return false
		}
		deadline = c.requestedAt.Add(c.request.wait)
	}
	switch {
	case c.known.Offset > c.offset:
		c.limit = c.known.Offset
		return false
	case c.known.Damage != nil:
		c.failLost(c.known.Damage, c.offset, Unknown)
		return false
	case c.compared != c.known.Renewed:
		c.compared = c.known.Renewed
		if c.known.Offset < c.offset {
			c.ask(checking, LookUp{})
		}
		return false
	case !deadline.IsZero() && !now.Before(deadline):
		c.finish(protocol.StatusNoRecords, "no record was appended within max_wait_ms")
		return false
	}
	return c.wait(now, deadline)
}

// checked handles the state of a log that may have lost delivered records.
func (c *Core) checked(log LogState) {
	if log.Offset >= c.offset {
		return
	}
	c.seen = false // the status reports the end of the log as it is now
	c.failRange(c.offset, &log)
}

// wait sends a heartbeat if one is due, and sets Effects.Wake to the next heartbeat or the
// deadline, whichever is earlier. It returns false if the fetch ends because the consumer has
// not answered for too long.
func (c *Core) wait(now, deadline time.Time) (waits bool) {
	if c.request.Paced() {
		what, at := c.pace.next(now)
		switch what {
		case consumerGone:
			c.fail(protocol.Errorf(protocol.CodeCreditTimeout, "the consumer has sent nothing for %s", c.pace.patience))
			return false
		case heartbeat:
			c.sendHeartbeat(now)
			_, at = c.pace.next(now)
		}
		deadline = earlier(at, deadline)
	}
	c.fx.Wake = deadline
	return true
}

// sendHeartbeat sends a heartbeat, which the consumer must answer. The heartbeat has no next
// offset while a fetch by time still skips older records, or while the fetch may start elsewhere.
func (c *Core) sendHeartbeat(now time.Time) {
	why := "the fetch is idle"
	if c.retry.failures > 0 {
		why = "the fetch waits for the object store"
	}
	s := c.status(protocol.StatusHeartbeat, why+"; answer with the number of bytes that were processed")
	if !c.since.IsZero() || c.movable() {
		s.Next = Unknown
	}
	c.fx.Send = append(c.fx.Send, Message{Status: s, Start: c.startedAt, from: c.offset})
	c.fx.Confirm = true
	c.pace.heartbeatSent(now)
}

// control handles a control message of the consumer.
func (c *Core) control(now time.Time, w Control) {
	switch {
	case w.Err != nil:
		c.end(w.Err)
	case string(w.Data) == protocol.CancelFetch:
		c.finish(protocol.StatusCancelled, "the consumer has cancelled the fetch")
	case !c.pace.grant(w.Data, now):
		c.end(protocol.Errorf(protocol.CodeInvalidRequest, "the credit %.32q is not a number of bytes", w.Data))
	}
}

// unconfirmed reports whether the consumer may have missed a message when the connection was
// lost. A paced consumer has received every message if it has granted all of its credit again
// and has answered since the last message. Credit alone does not show this, because gaps and
// empty records cost none.
func (c *Core) unconfirmed() bool {
	if c.request.Paced() {
		return c.pace.processed < c.pace.spent || c.pace.unanswered > 0
	}
	return c.started
}

// sendFailed moves the fetch back to the message that was not sent, and ends the fetch. If
// the fetch was about to end after that message, this end replaces the other one.
func (c *Core) sendFailed(e SendFailed, sent []Message) {
	c.ending, c.question, c.repeat = nil, nil, nil
	if e.Message < len(sent) {
		c.offset = sent[e.Message].from
		if e.Err.Code == protocol.CodeUndeliverable {
			c.offset = sent[e.Message].Offset + 1 // the error names the offset; the consumer can continue after it
		}
	}
	// Not with fail: a load may be open, and its answer would be taken for that to IsDeleted.
	c.end(e.Err)
}

// failBatch ends the fetch because of a batch whose content is damaged or missing.
func (c *Core) failBatch(b *batch, err *protocol.Error) {
	c.failLost(err, max(b.offset, c.offset), b.next())
}

// failLost ends the fetch because records that are in the log, or may be, cannot be read.
// Their offsets are those at or above from and below next. The consumer may continue at next.
func (c *Core) failLost(err *protocol.Error, from, next int64) {
	if c.isBehind(from) {
		c.fallenBehind() // they were not lost: the log begins behind them
		return
	}
	if next != Unknown {
		err = protocol.Errorf(err.Code, "%s; the records at the offsets %d to %d cannot be read, the next one is at %d",
			err.Detail, from, next-1, next)
	}
	c.failWith(failure{err, from, next, Unknown})
}

func (c *Core) fail(err *protocol.Error) { c.failWith(failureOf(err)) }

// failWith ends the fetch with a failure. A server error may be a result of the deletion of
// the topic: its log may be gone, or belong to a new topic of the same name. So the core
// first asks whether the topic was deleted.
func (c *Core) failWith(f failure) {
	if f.err.Code.Kind().Status >= 500 {
		c.failure = f
		c.ask(failing, IsDeleted{})
		return
	}
	c.endWith(f)
}

// end ends the fetch with an error, without asking whether the topic was deleted.
func (c *Core) end(err *protocol.Error) { c.endWith(failureOf(err)) }

func (c *Core) endWith(f failure) {
	s := c.status(f.err.Code.FetchStatus(), f.err.Error())
	s.Err, s.GapFrom, s.LogStart = f.err, f.from, f.logStart
	if f.from != Unknown {
		s.Next = f.next
	}
	if f.next != Unknown {
		s.GapTo = f.next - 1
	}
	c.ending = s
}

// finish ends the fetch without an error.
func (c *Core) finish(code, description string) { c.ending = c.status(code, description) }

// status returns a status with the next offset of the consumer and the end of the
// partition. Entries may be read before their Committed message arrives, so the end is at
// least the place of the fetch.
func (c *Core) status(code, description string) *Status {
	s := new(newStatus(code, description))
	s.Start = c.startedAt
	switch {
	case c.placed:
		s.Next = c.offset
	case c.request.Offset != nil:
		s.Next = *c.request.Offset
	}
	if c.known.Valid {
		s.End = c.known.Offset
		if c.seen {
			s.End = max(s.End, c.offset)
		}
	}
	return s
}
