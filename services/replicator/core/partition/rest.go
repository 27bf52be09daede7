package partition

import "time"

// Rests reports whether time may pass unnoticed for a pause. Otherwise that something is due would be
// noticed too late: that frontends learn again that the log takes no new requests, that a question
// can be answered, or that producers expire, if their time is short.
func (c *Core) Rests(pause time.Duration) bool {
	switch {
	case c.producers.Len() > 0 && !c.producers.Keeps(pause):
		return false
	case len(c.questions.waiting) > 0, !c.archive.fullSince.IsZero():
		return false
	}
	return true
}
