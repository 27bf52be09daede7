package fetch

import (
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// maxUnreadable is how many entries in a row may be damaged before a search
// gives up.
const maxUnreadable = 8

// probe looks for the first readable entry from a sequence on: a damaged one must not
// keep consumers from what lies elsewhere.
type probe struct {
	from, last uint64 // it is looked for in this range
	at         uint64 // where it is looked for at the moment
}

func (c *Core) look(phase phase, from, last uint64) {
	c.probe = probe{from: from, last: last, at: from}
	c.ask(phase, Read{from, 1})
}

// probeFailed takes an error instead of the entry that was looked for.
func (c *Core) probeFailed(err *protocol.Error) {
	p := &c.probe
	corrupt := isCorrupt(err)
	if corrupt && p.at < p.last && p.at-p.from < maxUnreadable {
		p.at++
		c.ask(c.phase, Read{p.at, 1})
		return
	}
	switch {
	case corrupt && c.phase == measuring:
		c.measured(nil)
	case corrupt && c.phase == anchoring:
		c.anchored(nil)
	case corrupt && c.phase == skipping:
		c.failLost(c.damage, c.offset, Unknown)
	default:
		c.fail(err)
	}
}

// probed takes the entry that was looked for, or the first one behind a hole.
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

// search is the binary search for the entry that a fetch starts with. Entries are
// sorted by what is searched for.
type search struct {
	log   LogState // when the fetch was asked for
	begin uint64   // of the range that is searched
	end   uint64   // behind the range

	low, above uint64 // the entries below low are not it; from above on there is only the best one
	found      bool   // whether there is a best one
	best       uint64 // its sequence
	base       int64  // its base offset
}

// start takes the state of the log and finds the place that was asked for. A fetch
// that does not follow reads up to where the log ends now.
func (c *Core) start(log LogState) {
	c.limit = log.Offset
	c.search.log = log
	switch {
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
		c.fail(outOfRange(offset, log))
		return
	}
	c.sequence, c.offset = log.Last+1, offset
	if offset == log.Offset {
		c.placed = true
		return
	}
	c.searchRange(log.First, log.Readable+1)
}

// searchTimes searches the entries below end for the last record that is older than
// the time that was asked for. The fetch starts behind it. Only where times rise can
// that be a binary search. There is more than one such stretch if a clock was set back
// far: the times of the newest stretch count first, because the clock was corrected
// then.
func (c *Core) searchTimes(end uint64) {
	if end <= c.search.log.First {
		c.placed = true
		return
	}
	c.search.end = end
	c.look(measuring, end-1, end-1)
}

// measured takes the last entry of the range, which names the beginning of its
// stretch. If it is damaged, its place stands for it.
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

// narrow asks for the entry in the middle of what is left. A damaged entry that may be
// the one is where the search ends, and what the fetch then reports.
func (c *Core) narrow() {
	s := &c.search
	if s.low >= s.above {
		c.located()
		return
	}
	last := s.end - 1
	if s.found {
		last = s.best
	}
	c.look(searching, s.low+(s.above-s.low)/2, last)
}

func (c *Core) searched(entry *messages.LoggedEntry) {
	s := &c.search
	middle := c.probe.from
	switch {
	case entry.Sequence >= s.end:
		s.above = middle // nothing is left from there on
	case c.reached(&entry.Entry):
		s.found, s.best, s.base, s.above = true, entry.Sequence, entry.Entry.BaseOffset, middle
	default:
		s.low = entry.Sequence + 1
	}
	c.narrow()
}

// reached reports whether an entry ends behind the offset, or is not older than the
// time, that was asked for.
func (c *Core) reached(entry *messages.Entry) bool {
	if c.request.Time != nil {
		return !entry.At().Before(*c.request.Time)
	}
	return entry.NextOffset() > c.offset
}

// located takes the result of a search: low is right behind the last entry that is not
// it, and the best entry stands there unless what lies between cannot be read.
func (c *Core) located() {
	s := &c.search
	switch {
	case c.request.Time == nil:
		if s.found {
			c.sequence = s.low // the offset may lie in a gap, or in entries that cannot be read
		}
		if s.found && s.base <= c.offset {
			c.sequence = s.best
		}
		c.placed = true
	case !s.found:
		c.stretchDone()
	case s.low <= s.log.First:
		c.begin(s.log.First, s.log.Begin) // the first entry follows nothing
	default:
		c.look(anchoring, s.low-1, s.low-1)
	}
}

// anchored takes the entry in front of the start. The fetch starts right behind it, so
// that a gap or damage between the two is noticed.
func (c *Core) anchored(before *messages.LoggedEntry) {
	s := &c.search
	if before == nil || before.Sequence >= s.low {
		c.look(anchoringFar, s.low, s.low+maxUnreadable)
		return
	}
	c.begin(s.low, before.Entry.NextOffset())
}

func (c *Core) begin(sequence uint64, offset int64) {
	c.sequence, c.offset = sequence, offset
	c.stretchDone()
}

// stretchDone ends the search unless all of a stretch is young enough: then the
// stretch before it may have younger records, too.
func (c *Core) stretchDone() {
	if s := &c.search; s.low > s.begin {
		c.placed = true
	} else {
		c.searchTimes(s.begin)
	}
}
