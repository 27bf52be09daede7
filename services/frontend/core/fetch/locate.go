package fetch

import (
	"math"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// maxUnreadable is how many damaged entries in a row, or damaged parts of a history, a search
// tries to skip.
const maxUnreadable = 8

// probe is the search for the first readable entry in a range of sequences. A damaged
// entry must not keep consumers from records elsewhere.
type probe struct {
	from, last uint64 // the range
	at         uint64 // the sequence that is being read
	failed     int    // how many could not be read
}

// look starts a probe.
func (c *Core) look(phase phase, from, last uint64) {
	c.probe = probe{from: from, last: last, at: from}
	c.ask(phase, c.read(from, 1))
}

// probeFailed handles an error of a probe. It tries the next entry, or continues without
// one where the phase allows that.
func (c *Core) probeFailed(e Failed) {
	p := &c.probe
	corrupt := isCorrupt(e.Err)
	if next := max(p.at+1, e.Next.Sequence); corrupt && next <= p.last && p.failed < maxUnreadable {
		p.at = next
		p.failed++
		c.ask(c.phase, c.read(p.at, 1))
		return
	}
	inHistory := e.Next.Sequence > 0
	switch {
	case corrupt && c.phase == measuring:
		c.measured(nil)
	case corrupt && c.phase == searching && inHistory:
		c.search.above = p.from // the search continues below the damage
		c.narrow()
	case corrupt && c.phase == anchoring:
		c.anchored(nil)
	case corrupt && c.phase == anchoringFar && inHistory:
		c.begin(e.Next.Sequence, e.Next.Offset)
	case corrupt && c.phase == skipping:
		c.failLost(c.damage, c.offset, Unknown)
	default:
		c.fail(e.Err)
	}
}

// probed handles the entry that a probe has found. It may be beyond the range, if the log
// has a hole.
func (c *Core) probed(entry *messages.LoggedEntry) {
	switch c.phase {
	case measuring:
		c.measured(entry)
	case searching:
		c.searched(entry)
	case anchoring:
		c.anchored(entry)
	case anchoringFar:
		c.begin(entry.Sequence, entry.Entry.BaseOffset)
	case skipping:
		c.skipped(entry)
	}
}

// search is the binary search for the first entry that reaches the requested offset or
// time.
//
// Invariant: no readable entry below low reaches it. Every readable entry of the range from
// above on does, and best is the lowest one of those that was read. The search ends when low
// equals above.
type search struct {
	log   LogState // at the start of the fetch
	begin uint64   // first sequence of the range
	end   uint64   // sequence after the range

	low, above uint64
	found      bool   // whether there is a best entry
	best       uint64 // its sequence
	base       int64  // its base offset
	narrowed   bool   // whether the history was asked which of its entries to search
}

// start handles the state of the log and finds the requested place. A fetch without follow
// ends at the current end of the log.
func (c *Core) start(log LogState) {
	c.limit = log.Offset
	c.search.log = log
	switch {
	case c.request.From == protocol.FromEarliest && log.History.Archived():
		c.startAt(log.Begin, log)
	case c.request.From == protocol.FromEarliest:
		c.sequence, c.offset, c.placed = log.First, log.Begin, true
	case c.request.From == protocol.FromLatest:
		c.sequence, c.offset, c.placed = log.Last+1, log.Offset, true
	case c.request.Time != nil:
		c.since = *c.request.Time
		c.sequence, c.offset = log.Last+1, log.Offset
		c.searchTimes(log.Readable + 1)
	default:
		c.startAt(*c.request.Offset, log)
	}
}

func (c *Core) startAt(offset int64, log LogState) {
	if offset < log.Begin || offset > log.Offset {
		c.failRange(offset, &log)
		return
	}
	c.sequence, c.offset = log.Last+1, offset
	h := log.History
	switch {
	case offset == log.Offset:
		c.placed = true
	case !h.Archived():
		c.searchRange(log.First, log.Readable+1)
	case offset < h.End.Offset:
		c.searchRange(log.First, h.End.Sequence+1)
	default:
		c.searchRange(h.End.Sequence+1, log.Readable+1)
	}
}

// searchTimes searches the entries below end for the last record that is older than the
// requested time. The fetch starts after it.
//
// A binary search is possible only within a stretch of entries whose times rise. A log has
// more than one stretch if a clock was far ahead and then corrected: each entry names the
// first entry of its stretch (RisingFrom). The newest stretch is searched first, because
// the clock was corrected at its start. If all of it is younger than the requested time, the
// stretch before it is searched as well.
//
// Example: entries 1 to 50 have times from 10:00 to 13:00, because a clock was ahead;
// entries 51 to 90 have times from 11:00 to 12:00. A fetch from 11:30 starts in the second
// stretch. One from 10:30 finds the whole second stretch younger, and starts in the first.
func (c *Core) searchTimes(end uint64) {
	if end <= c.search.log.First {
		c.placed = true
		return
	}
	c.search.end = end
	c.look(measuring, end-1, end-1)
}

// measured handles the last entry of the range, which names the first entry of its
// stretch. If it is damaged, all of the range is treated as one stretch.
func (c *Core) measured(last *messages.LoggedEntry) {
	s := &c.search
	begin := s.log.First
	if last != nil && last.Sequence < s.end {
		begin = min(max(last.Entry.RisingFrom, begin), s.end-1)
	}
	c.searchRange(begin, s.end)
}

func (c *Core) searchRange(begin, end uint64) {
	c.search = search{log: c.search.log, begin: begin, end: end, low: begin, above: end}
	c.narrow()
}

// narrow reads the entry in the middle of the remaining range. If it is damaged, the next
// entries are tried, up to the best one. If the best one is the first that can be read, the
// search continues below the damage, and may end there; the fetch then reports the damage.
//
// A read of the history may be a request to a remote store. So the first entry behind the
// history is read first, and then the index of the history says which entries remain.
func (c *Core) narrow() {
	s := &c.search
	middle := s.low + (s.above-s.low)/2
	switch h := c.known.History; {
	case s.low >= s.above:
		c.located()
		return
	case !c.known.archived(s.low):
	case s.above > h.End.Sequence+1:
		middle = h.End.Sequence + 1
	case !s.narrowed:
		s.narrowed = true
		c.ask(narrowing, Narrow{h, c.offset, c.request.Time, s.low, s.above, c.beyond()})
		return
	}
	last := s.end - 1
	if s.found {
		last = s.best
	}
	c.look(searching, middle, last)
}

// narrowed handles the part of the history that is left to search.
func (c *Core) narrowed(e Narrowed) {
	s := &c.search
	s.log.First, s.begin = max(s.log.First, e.First), max(s.begin, e.First)
	s.low = min(max(s.low, e.Low, e.First), s.above)
	if e.Above < s.above {
		// This entry is known to reach the target, although it was not read.
		s.above = max(e.Above, s.low)
		s.found, s.best, s.base = true, s.above, math.MaxInt64
	}
	c.narrow()
}

// notNarrowed handles a history without a readable index. The fetch starts with the damaged
// entries, which it then reports.
func (c *Core) notNarrowed() {
	c.search.above = c.search.low
	c.narrow()
}

func (c *Core) searched(entry *messages.LoggedEntry) {
	s := &c.search
	middle := c.probe.from
	switch {
	case entry.Sequence >= s.end:
		s.above = middle // no readable entry from there on
	case c.reached(&entry.Entry):
		s.found, s.best, s.base, s.above = true, entry.Sequence, entry.Entry.BaseOffset, middle
	default:
		s.low = entry.Sequence + 1
	}
	c.narrow()
}

// reached reports whether an entry ends after the requested offset, or is not older than
// the requested time.
func (c *Core) reached(entry *messages.Entry) bool {
	if c.request.Time != nil {
		return !entry.At().Before(*c.request.Time)
	}
	return entry.NextOffset() > c.offset
}

// located handles the end of a search. Entry low-1 does not reach the target; the best entry
// is at low, unless the entries between them cannot be read.
func (c *Core) located() {
	s := &c.search
	switch {
	case c.request.Time == nil:
		c.sequence = s.low // the offset may be in a gap or in entries that cannot be read
		if s.found && s.base <= c.offset {
			c.sequence = s.best
		}
		c.placed = true
	case !s.found:
		c.stretchDone()
	case s.low <= s.log.First:
		c.begin(s.log.First, s.log.Begin) // there is no entry before the first one
	default:
		c.look(anchoring, s.low-1, s.low-1)
	}
}

// anchored handles the entry before the start. A fetch by time starts at the offset after
// that entry, so that a gap or damage between the two is reported.
func (c *Core) anchored(before *messages.LoggedEntry) {
	s := &c.search
	if before == nil || before.Sequence >= s.low {
		c.look(anchoringFar, s.low, s.low+maxUnreadable)
		return
	}
	c.begin(s.low, before.Entry.NextOffset())
}

func (c *Core) begin(sequence uint64, offset int64) {
	c.sequence, c.offset = sequence, max(offset, c.search.log.Begin)
	c.stretchDone()
}

// stretchDone ends the search of a stretch. If no entry of the stretch is older than the
// requested time, the stretch before it may end with entries that are not older either, so
// that one is searched as well.
func (c *Core) stretchDone() {
	if s := &c.search; s.low > s.begin {
		c.placed = true
	} else {
		c.searchTimes(s.begin)
	}
}
