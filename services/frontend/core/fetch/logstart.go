package fetch

import "laneway.dev/pkg/protocol"

// The log start offset rises when records are deleted by retention or truncation, also while a
// fetch is open.
//
// A fetch that names no offset, and has sent nothing yet, starts again at the new start: it is as if
// it had been requested a moment later. Any other fetch whose next record is gone ends with
// OFFSET_OUT_OF_RANGE, which names the offsets that are gone and the start. So a consumer always
// learns that there were records which it has not seen.

// isBehind reports whether the record at an offset is below the log start.
func (c *Core) isBehind(offset int64) bool {
	h := &c.known.History
	return h.Archived() && offset < h.Start
}

// movable reports whether the fetch may start at another place than the one that it has found,
// because its consumer knows none.
func (c *Core) movable() bool {
	return !c.started && c.request.Offset == nil && c.request.From != protocol.FromLatest
}

// fallenBehind starts the fetch again, or ends it, because its next record is below the log start.
func (c *Core) fallenBehind() {
	if c.movable() {
		c.startAgain()
		return
	}
	log := c.known.begins()
	c.failRange(c.offset, &log)
}

// hasMovedOn reports whether the log start has risen since the fetch looked for its start, or above
// its place. It then starts the fetch again, or ends it.
func (c *Core) hasMovedOn() bool {
	switch {
	case !c.placed && c.isBehind(c.search.log.Begin):
		c.startAgain()
	case c.placed && c.isBehind(c.offset):
		c.fallenBehind()
	default:
		return false
	}
	return true
}

// startAgain discards the place of a fetch that has sent nothing, so that it looks for another one.
func (c *Core) startAgain() {
	if !c.mayReadAgain() {
		return
	}
	c.closeFrame()
	c.placed, c.place, c.search, c.probe, c.damage = false, place{}, search{}, probe{}, nil
	c.payloads, c.wanted, c.loaded, c.reads, c.stuck, c.seen = nil, 0, 0, maxReads, false, false
}

// passHistory continues behind the history once all of its records are queued. The entries that are
// left of it have no records, and may be gone with their segment.
func (c *Core) passHistory() {
	if h := &c.known.History; h.Archived() {
		if _, next := c.queued(); next >= h.End.Offset {
			c.sequence = max(c.sequence, h.End.Sequence+1)
		}
	}
}
