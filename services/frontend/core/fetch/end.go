package fetch

import (
	"time"

	"laneway.dev/pkg/protocol"
)

// How a fetch ends from outside, or because of the topic.
var (
	errDeleted      = protocol.NewError(protocol.CodeUnknownTopic, "the topic was deleted")
	errDisconnected = protocol.NewError(protocol.CodeUnavailable, "the frontend was disconnected from NATS; messages may be missing")
)

// failure is an error with the offsets that cannot be read because of it, from from up
// to next. Both are Unknown if it is no loss; next is if nothing behind it is readable.
type failure struct {
	err        *protocol.Error
	from, next int64
}

func isCorrupt(err *protocol.Error) bool { return err != nil && err.Code == protocol.CodeCorrupt }

func outOfRange(offset int64, log LogState) *protocol.Error {
	return protocol.Errorf(protocol.CodeOffsetOutOfRange, "%d, the partition has %d to %d", offset, log.Begin, log.Offset)
}

// notTheBatch is the error for a payload that has the right checksum but not the
// content that the log promises.
func notTheBatch(b *batch, reason string) *protocol.Error {
	x := &b.extent
	return protocol.Errorf(protocol.CodeCorrupt, "object %q is corrupt at offset %d, length %d: %s", x.Key, x.Offset, x.Length, reason)
}

// atEnd is called where the fetch ends unless it waits for more. It returns true if it
// waits.
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
			// The log may have lost what was delivered, as it may when its server was
			// restarted. Or the known end is only older than the place of the fetch.
			c.ask(checking, LookUp{})
		}
		return false
	case !deadline.IsZero() && !now.Before(deadline):
		c.finish(protocol.StatusNoRecords, "nothing came in time")
		return false
	}
	return c.wait(now, deadline)
}

// checked takes the state of a log that may have lost what was delivered.
func (c *Core) checked(log LogState) {
	if log.Offset >= c.offset {
		return
	}
	c.seen = false // the end of the partition is where the log ends now
	c.fail(outOfRange(c.offset, log))
}

// wait keeps in touch with the consumer until something happens, at the latest until
// the deadline if there is one. It returns false if the consumer is gone.
func (c *Core) wait(now, deadline time.Time) (waits bool) {
	var due time.Time
	if c.request.Paced() {
		what, at := c.pace.next(now)
		switch what {
		case consumerGone:
			c.fail(protocol.Errorf(protocol.CodeCreditTimeout, "nothing was heard for %s", c.pace.patience))
			return false
		case heartbeat:
			c.sendHeartbeat(now)
			_, at = c.pace.next(now)
		}
		due = at
	}
	if !deadline.IsZero() && (due.IsZero() || deadline.Before(due)) {
		due = deadline
	}
	c.fx.Wake = due
	return true
}

// sendHeartbeat asks the consumer for a sign of life. A fetch that may still pass over
// records does not name its place.
func (c *Core) sendHeartbeat(now time.Time) {
	s := c.status(protocol.StatusHeartbeat, "the fetch is idle; answer with a credit of 0")
	if !c.since.IsZero() {
		s.Next = Unknown
	}
	c.fx.Send = append(c.fx.Send, Message{Status: s, from: c.offset})
	c.fx.Confirm = true
	c.pace.heartbeatSent(now)
}

// control takes what the consumer of a paced fetch has published.
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

// unconfirmed reports whether the consumer may have missed something if the connection
// broke. A paced consumer has everything once all of its credit is back and it has
// published something since the last message: gaps and empty records cost no credit.
func (c *Core) unconfirmed() bool {
	if c.request.Paced() {
		return c.pace.credit < c.pace.window || c.pace.unanswered > 0
	}
	return c.started
}

// sendFailed takes back what was not sent, and ends the fetch. It also replaces an end
// that was to follow the message.
func (c *Core) sendFailed(e SendFailed, sent []Message) {
	c.ending, c.question = nil, nil
	if e.Message < len(sent) {
		c.offset = sent[e.Message].from
		if e.Err.Code == protocol.CodeUndeliverable {
			c.offset = sent[e.Message].Offset + 1 // the consumer learns the offset, and can continue behind it
		}
	}
	c.fail(e.Err)
}

// failBatch ends the fetch because of a batch that cannot be read.
func (c *Core) failBatch(b *batch, err *protocol.Error) {
	if isCorrupt(err) {
		c.failLost(err, max(b.offset, c.offset), b.next())
	} else {
		c.fail(err)
	}
}

// failLost ends the fetch because the records from from up to next are in the log, or
// may be, and cannot be read. The consumer may continue at next.
func (c *Core) failLost(err *protocol.Error, from, next int64) {
	if next != Unknown {
		err = protocol.Errorf(err.Code, "%s; the records at the offsets %d to %d cannot be read, the next one is at %d",
			err.Detail, from, next-1, next)
	}
	c.failWith(failure{err, from, next})
}

func (c *Core) fail(err *protocol.Error) { c.failWith(failure{err, Unknown, Unknown}) }

// failWith ends a fetch that has failed by itself. An error of the service may come
// from the deletion of the topic: its log is gone, or is that of another topic of the
// name.
func (c *Core) failWith(f failure) {
	if f.err.Code.Kind().Status >= 500 {
		c.failure = f
		c.ask(failing, IsDeleted{})
		return
	}
	c.endWith(f)
}

// end ends the fetch with an error that is not its own.
func (c *Core) end(err *protocol.Error) { c.endWith(failure{err, Unknown, Unknown}) }

func (c *Core) endWith(f failure) {
	s := c.status(f.err.Code.FetchStatus(), f.err.Error())
	s.Err, s.GapFrom = f.err, f.from
	if f.from != Unknown {
		s.Next = f.next
	}
	if f.next != Unknown {
		s.GapTo = f.next - 1
	}
	c.ending = s
}

// finish ends the fetch well.
func (c *Core) finish(code, description string) { c.ending = c.status(code, description) }

// status returns a status that names where the consumer continues and where the
// partition ends. Entries may be read before the news of them, so the end is at least
// where the fetch is.
func (c *Core) status(code, description string) *Status {
	s := &Status{Code: code, Description: description, Next: Unknown, End: Unknown, GapFrom: Unknown, GapTo: Unknown}
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
