package core

import (
	"time"

	"laneway.dev/pkg/messages"
)

// WriteMark asks for the partition's mark to be replaced by compare-and-set on its
// revision. The shell repeats it until the outcome is known, and answers with MarkWritten or
// MarkConflict.
type WriteMark struct {
	Mark     messages.Mark
	Revision uint64
}

// MarkWritten reports that a mark is durable.
type MarkWritten struct {
	Mark     messages.Mark
	Revision uint64
}

// MarkConflict reports that a mark was not written, because the stored one has another
// revision than expected.
type MarkConflict struct {
	Mark  messages.Mark // the one that was not written
	Found FoundMark     // the stored one
}

// FoundMark is the stored mark of a partition. If none exists, Revision is the one that a
// WriteMark must expect to create it.
type FoundMark struct {
	Mark     messages.Mark
	Revision uint64
	Exists   bool
	// Damage is the reason why the log must not be appended to, or empty: the mark cannot be
	// read, or the log was continued in a later incarnation.
	Damage string
}

// Gap is a range of offsets that a new owner leaves out: from From to To-1.
type Gap struct{ From, To int64 }

// The mark of a partition protects against a log that silently loses entries at its end, for
// example when JetStream's files are restored from a copy. A stream cannot show this by
// itself: a log that was cut at entry 40 looks like one that never got further.
//
// The mark is kept outside the log and has two positions: Written, which the log has reached
// for certain, and Reserved, which no append exceeds. The owner raises Reserved ahead of
// its appends, and Written follows. Two rules result for the next owner:
//
//   - If the log ends below Written, entries are lost, and the partition becomes read-only.
//   - Otherwise the log continues at Reserved. The offsets between its end and Reserved may
//     have been acknowledged and lost, or never used; these cases look alike, so none of
//     the offsets is used again.
//
// Example: the mark says written 1,000 and reserved 2,024, and the owner crashes after it
// has appended up to offset 1,300. A log that ends at 900 is damaged. One that ends at 1,300
// continues at 2,024, with a gap of 724 offsets. After a clean stop, and after idleTime
// without appends, the mark is exact: written and reserved are both 1,300, and no gap
// results.
//
// Positions are reserved in spans, the next one when half of a span is used. If that takes
// less than markInterval, the next span has twice as many offsets; if it takes more than
// four times as long, or the log was idle, half as many. So a reservation usually has about as many offsets as
// are produced in a second, and at least minSpan. A gap is not larger than a reservation.
const (
	minSpan      = 1 << 10
	maxSpan      = 1 << 20
	sequenceSpan = 1 << 10
	markInterval = 250 * time.Millisecond
	// idleTime is the time without appends after which the owner writes an exact mark. A crash
	// after that leaves no gap.
	idleTime = time.Second
	// ownershipCheck is how often an idle owner writes its mark again while it cannot archive. If
	// another owner has claimed the log, that fails. Otherwise an owner that was replaced would
	// not notice it: as long as it has frontends reject requests, it has nothing to append.
	ownershipCheck = 5 * time.Second
)

// reserve is the state of a partition's mark, and with it how far a core may append.
type reserve struct {
	FoundMark
	own     bool           // this core has written the mark
	moved   bool           // another owner has written it since
	writing *messages.Mark // the WriteMark under way; nil if none is
	span    int64          // offsets to reserve the next time
	since   time.Time      // when the mark was last written
	active  time.Time      // of the last append
	resume  int64          // no offset below it may be used
	need    int64          // offsets of the first waiting batch, if it does not fit; else 0
}

// end returns the end of the log, as far as this owner has read and appended it.
func (c *Core) end() messages.Position {
	return messages.Position{Sequence: c.last, Offset: c.partition.NextOffset()}
}

// resumeAfter decides at which offset a log continues after its end was found: at the
// reserved offset of the mark. If this core has written the mark itself, the log continues
// at its end, because the outcome of every append under that mark is known.
func (c *Core) resumeAfter(end messages.Position) {
	r := &c.reserve
	switch {
	case r.own:
		// This core knows the outcome of each of its appends.
	case !r.Exists && end.Offset > 0:
		c.warn("the partition has no mark, so a loss of entries at the end of its log cannot be excluded; a new mark is written")
	case r.Exists && !r.Mark.Reserved.Covers(end):
		c.warn("the mark of the partition is older than its log, so a loss of entries at the end of the log cannot be excluded; a new mark is written")
	case r.Exists:
		r.resume = max(r.resume, r.Mark.Reserved.Offset)
	}
}

// mayAppend reports whether the next entry may be appended: the mark reserves its stream
// sequence, no other owner has written the mark, and the owner is not stopping. While an
// exact mark is being written, nothing is appended: the entry would be beyond that mark.
func (c *Core) mayAppend() bool {
	r := &c.reserve
	closing := r.writing != nil && r.writing.Exact()
	return !closing && !r.moved && !c.stopping && c.last < r.Mark.Reserved.Sequence
}

// keepMark reserves positions ahead of appends, and writes an exact mark when the log is
// idle or the owner stops.
func (c *Core) keepMark(now time.Time) {
	r := &c.reserve
	if r.writing != nil || r.moved {
		return
	}
	busy := c.appending || !c.stopping && c.waiting()
	switch {
	case busy && !c.stopping && !c.roomy():
		c.reserveMore(now)
	case !busy && (c.stopping || now.Sub(r.active) >= idleTime) && r.Mark.Reserved != c.end():
		c.writeMark(messages.Mark{Owner: c.settings.Owner, Written: c.end(), Reserved: c.end()})
	case !busy && c.partition.ArchivingStalls(now) && now.Sub(r.since) >= ownershipCheck:
		c.writeMark(r.Mark)
	}
}

// roomy reports whether more than half of the reserved positions are unused.
func (c *Core) roomy() bool {
	left := c.reserve.Mark.Reserved
	return c.reserve.need == 0 && left.Offset-c.partition.NextOffset() > c.reserve.span/2 && left.Sequence-min(c.last, left.Sequence) > sequenceSpan/2
}

// reserveMore writes a mark with a higher reservation. Appends continue meanwhile within the
// old one.
func (c *Core) reserveMore(now time.Time) {
	r := &c.reserve
	switch lasted := now.Sub(r.since); {
	case r.Mark.Exact(): // nothing was reserved, because the log was idle
		r.span /= 2
	case lasted < markInterval:
		r.span *= 2
	case lasted > 4*markInterval:
		r.span /= 2
	}
	r.span = max(minSpan, min(r.span, maxSpan), 2*r.need)
	r.need = 0
	c.writeMark(messages.Mark{Owner: c.settings.Owner, Written: c.end(), Reserved: messages.Position{
		Sequence: max(r.Mark.Reserved.Sequence, c.last+sequenceSpan), Offset: max(r.Mark.Reserved.Offset, c.partition.NextOffset()+r.span),
	}})
}

// claimable reports whether a term record may be appended. Its place must be reserved, so
// claimable writes a mark first, which includes the reservation of the last owner. The mark
// names this owner. If the last owner is still running, its next write of the mark fails,
// and it finds that the log is being claimed.
func (c *Core) claimable(now time.Time) bool {
	r := &c.reserve
	if r.own && c.last < r.Mark.Reserved.Sequence && r.Mark.Reserved.Offset >= max(c.partition.NextOffset(), r.resume) {
		return true
	}
	if r.writing == nil {
		r.span = minSpan
		r.since = now
		c.writeMark(messages.Mark{Owner: c.settings.Owner, Written: c.end(), Reserved: messages.Position{
			Sequence: max(c.last, r.Mark.Reserved.Sequence) + sequenceSpan, Offset: max(c.partition.NextOffset(), r.resume, r.Mark.Reserved.Offset) + minSpan,
		}})
	}
	return false
}

func (c *Core) writeMark(mark messages.Mark) {
	c.reserve.writing = &mark
	c.fx.Mark = &WriteMark{Mark: mark, Revision: c.reserve.Revision}
	c.stats.Marks++
}

// markWritten makes the mark under way the valid one.
func (c *Core) markWritten(now time.Time, e MarkWritten) {
	r := &c.reserve
	if r.writing == nil || *r.writing != e.Mark {
		return // requested before the core started over
	}
	r.FoundMark = FoundMark{Mark: e.Mark, Revision: e.Revision, Exists: true}
	r.own, r.writing, r.since = true, nil, now
}

// markConflict decides which owner has written the stored mark. It may be this one, if the
// answer to an earlier attempt was lost. Another owner writes the mark before it claims the
// log, so this core starts over as soon as no append is under way.
func (c *Core) markConflict(now time.Time, e MarkConflict) {
	r := &c.reserve
	switch {
	case r.writing == nil || *r.writing != e.Mark:
		// The mark was requested before the core started over.
	case e.Found.Exists && e.Found.Mark == e.Mark:
		c.markWritten(now, MarkWritten{Mark: e.Mark, Revision: e.Found.Revision})
	default:
		r.writing, r.moved = nil, true
	}
}
