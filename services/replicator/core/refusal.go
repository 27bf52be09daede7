package core

import "time"

const (
	// refusalTime is how long appends must fail before it is reported. It is longer than the
	// election of a stream's leader.
	refusalTime = 15 * time.Second
	// failurePause keeps an append that fails from being repeated in a tight loop.
	failurePause = 100 * time.Millisecond
	// deletedPause is the pause before the log of a deleted topic is read again. Usually the
	// actor has ended by then.
	deletedPause = time.Second
)

// refusal is why JetStream accepts no appends, and since when. JetStream does not always
// name the cause, such as a full disk; the reason may be only a timeout.
type refusal struct {
	reason  string // of the last append; empty if it succeeded
	since   time.Time
	lasting string // the reason, if it has lasted for refusalTime
}

// appendFailed rolls back and reads the log. An append that JetStream rejected because of
// its expected sequence does not count as refused: JetStream works, and another owner may
// have appended.
func (c *Core) appendFailed(now time.Time, e AppendFailed) {
	if !c.appending {
		return
	}
	c.rollBack()
	switch {
	case e.Deleted:
		c.readAfter = deletedPause // it is normal that the append failed
	case !e.Moved:
		c.readAfter = failurePause
		if c.refusal.reason == "" {
			c.refusal.since = now
		}
		c.refusal.reason = e.Reason
	}
}

// reportRefusing reports once that appends have failed for refusalTime.
func (c *Core) reportRefusing(now time.Time) {
	r := &c.refusal
	if r.reason == "" || now.Sub(r.since) < refusalTime {
		return
	}
	if r.lasting == "" {
		c.fx.Refusing = r.reason
	}
	r.lasting = r.reason
}
