package core

import "time"

// inlineRate is how many bytes of inline batches a log takes in a second, and in a burst. A log is
// replicated and synced, so its bytes are worth more than those of the object store. The rate is
// enough for a thousand small records a second; producers that send more are served by uploads,
// which are then large.
const inlineRate = 1 << 20

// inline decides which batches a stager may return inline. The zero value allows none, and has the
// whole budget.
type inline struct {
	most int64 // bytes of the largest frame
	left int64 // of the budget, at a time
	at   time.Time
}

// take reports whether a batch may be inline, and counts its bytes if it may. One that is staged
// again may not: the sequencer may have had no memory for it.
func (n *inline) take(now time.Time, t *ticket) bool {
	size := max(int64(len(t.Payload)), t.Bytes)
	if n.most == 0 || size > n.most || t.attempts > 1 {
		return false
	}
	if since := now.Sub(n.at); since > 0 {
		n.left = min(n.left+int64(min(since, time.Second))*inlineRate/int64(time.Second), inlineRate)
		n.at = now
	}
	if size > n.left {
		return false
	}
	n.left -= size
	return true
}
