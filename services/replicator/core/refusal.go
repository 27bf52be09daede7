package core

import "time"

const (
	// refusalTime is how long appends must have failed to be reported: longer than a stream
	// of several replicas takes to elect a leader.
	refusalTime = 15 * time.Second
	// failurePause keeps an append that fails from being repeated in a tight loop.
	failurePause = 100 * time.Millisecond
	// deletedPause is after what time it is looked again whether a topic exists. Usually the
	// actor has been ended by then.
	deletedPause = time.Second
)

// refusal is why JetStream takes no appends, and since when. JetStream itself may say
// nothing about it, for example after its disk was full.
type refusal struct {
	reason  string // of the last append; empty if it succeeded
	since   time.Time
	lasting string // the reason, if it has lasted for refusalTime
}

// appendFailed gives up everything that is not known to be in the log, and reads the log.
// An append that was refused because the log has moved on shows that JetStream works.
func (c *Core) appendFailed(now time.Time, e AppendFailed) {
	if !c.appending {
		return
	}
	c.rollBack()
	switch {
	case e.Deleted:
		c.readAfter = deletedPause // that the log fails means nothing
	case !e.Moved:
		c.readAfter = failurePause
		if c.refusal.reason == "" {
			c.refusal.since = now
		}
		c.refusal.reason = e.Reason
	}
}

// tellRefusing reports once that appends have failed for long.
func (c *Core) tellRefusing(now time.Time) {
	r := &c.refusal
	if r.reason == "" || now.Sub(r.since) < refusalTime {
		return
	}
	if r.lasting == "" {
		c.fx.Refusing = r.reason
	}
	r.lasting = r.reason
}
