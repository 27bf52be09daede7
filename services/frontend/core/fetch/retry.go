package fetch

import (
	"time"

	"laneway.dev/pkg/protocol"
)

// Pauses between the requests for what the object store does not return. Each is about
// twice the one before, up to a bound; a random factor from 0.5 to 1.5 varies it.
const (
	firstPause   = 100 * time.Millisecond
	longestPause = 5 * time.Second
)

// retry is the repetition of questions while the object store does not return what they ask for:
// the next payload, or entries of the history.
//
// A store that is away is no reason to end a paced fetch: the consumer would have to send the
// same request again, to the same store. The fetch continues to ask, and sends heartbeats
// meanwhile. It ends only if the consumer does not answer them. A fetch that is not paced has
// no heartbeats. Its consumer could not tell a store that is away from a fetch that is lost, so
// the fetch fails with a retryable error after Settings.StorePatience.
//
// A repeated load asks for one batch only. It is small, and shows whether the store is back.
type retry struct {
	began    time.Time // when the first question without a result was asked; zero before the end of that step
	at       time.Time // of the next question; zero unless the last one has failed
	failures int       // questions in a row without a result
	last     *protocol.Error
	random   float64 // from the last answer
}

// needsStore reports whether the object store is needed to answer a question.
func needsStore(q Question) bool {
	_, load := q.(Load)
	return load || historyOf(q).Archived()
}

// storeAsked records that a question is asked.
func (c *Core) storeAsked() {
	r := &c.retry
	if r.failures == 0 {
		r.began = time.Time{}
	}
	r.at = time.Time{}
}

// storeFailed schedules another question to the store.
func (c *Core) storeFailed(err *protocol.Error, now time.Time) {
	r := &c.retry
	pause := firstPause << min(r.failures, 10)
	r.failures++
	r.last, r.at = err, now.Add(time.Duration(float64(min(pause, longestPause))*(0.5+r.random)))
}

// storeDone records that the store has returned what was asked for, or has said that it is
// damaged.
func (c *Core) storeDone() { c.retry.failures = 0 }

// loadFailed discards the loaded payloads, of which the next one is missing, and schedules
// another load.
func (c *Core) loadFailed(err *protocol.Error, now time.Time) {
	c.payloads, c.loaded = nil, 0
	c.storeFailed(err, now)
}

// isAway reports whether an answer means that the object store does not return entries now.
func isAway(e Event) bool {
	f, failed := e.(Failed)
	return failed && f.Err.Code == protocol.CodeStoreUnavailable
}

// askLater schedules a question to be asked again.
func (c *Core) askLater(q Question, e Failed, now time.Time) {
	c.repeat, c.retry.random = q, e.Random
	c.storeFailed(e.Err, now)
}

// askAgain asks a question again when that is due. It returns true if the fetch waits.
func (c *Core) askAgain(now time.Time) (waits bool) {
	if now.Before(c.retry.at) {
		return c.waitForStore(now, c.retry.at)
	}
	q := c.renew(c.repeat)
	c.repeat = nil
	if !c.hasMovedOn() {
		c.ask(c.phase, q)
	}
	return false
}

// waitForStore is called while a question to the store is open, and before another one, which is
// due at due. It returns false if the fetch ends.
func (c *Core) waitForStore(now, due time.Time) (waits bool) {
	r := &c.retry
	if r.began.IsZero() {
		r.began = now
	}
	if !c.request.Paced() {
		deadline := r.began.Add(c.storePatience)
		if !now.Before(deadline) {
			// Not with fail: a load may be open, and its answer would be taken for that to IsDeleted.
			c.end(c.storeError())
			return false
		}
		c.fx.Wake = earlier(deadline, due)
		return true
	}
	quiet := r.began.Add(c.pace.heartbeat)
	if !now.Before(quiet) {
		return c.wait(now, due)
	}
	// Most loads are short. While records flow, no heartbeat is needed between them.
	c.fx.Wake = earlier(quiet, due)
	return true
}

// earlier returns the earlier of two times. The second one may be zero, which is never.
func earlier(a, b time.Time) time.Time {
	if !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func (c *Core) storeError() *protocol.Error {
	if c.retry.failures > 0 {
		return c.retry.last
	}
	return protocol.Errorf(protocol.CodeStoreUnavailable, "the object store has not answered for %s", c.storePatience)
}
