package core

import (
	"time"

	"laneway.dev/pkg/messages"
)

// WriteMark asks for the partition's mark to be replaced, if its revision is still this
// one. It is answered by MarkWritten or MarkConflict, however long that takes.
type WriteMark struct {
	Mark     messages.Mark
	Revision uint64
}

// MarkWritten says that the mark that was asked for is durable.
type MarkWritten struct {
	Mark     messages.Mark
	Revision uint64
}

// MarkConflict says that a mark was not written, because its revision was another one, and
// which mark was found then.
type MarkConflict struct {
	Mark  messages.Mark // that was to be written
	Found FoundMark
}

// FoundMark is the mark of a partition as an owner finds it. A mark that does not exist
// has the revision that the first one must expect.
type FoundMark struct {
	Mark     messages.Mark
	Revision uint64
	Exists   bool
	// Damage is not empty if nothing may be appended to the log: the mark cannot be read, or
	// the log was continued in a later incarnation.
	Damage string
}

// Gap tells of offsets that a new owner leaves out: those from From up to, and without, To.
type Gap struct{ From, To int64 }

// Positions are reserved in spans. A span of offsets that is used up within markInterval
// is doubled for the next time, one that lasts four times as long is halved: a crash
// leaves out what is produced within about a second, and minSpan at least.
const (
	minSpan      = 1 << 10
	maxSpan      = 1 << 20
	sequenceSpan = 1 << 10
	markInterval = 250 * time.Millisecond
	// idleTime is how long nothing was appended when the owner writes where its log
	// ends. A crash after that leaves nothing out.
	idleTime = time.Second
)

// reserve is what a core knows of its partition's mark, and how far it may append.
type reserve struct {
	FoundMark
	own     bool           // this core has written the mark
	moved   bool           // another owner has
	writing *messages.Mark // under way
	span    int64          // of offsets, for the next time
	since   time.Time      // when the mark was last written
	active  time.Time      // when something was last appended
	resume  int64          // no offset below it may be given out any more
	need    int64          // offsets that the first waiting batch takes, if there is no room for it
}

// end is where the log ends, as far as this owner has read and appended.
func (c *Core) end() messages.Position {
	return messages.Position{Sequence: c.last, Offset: c.partition.NextOffset()}
}

// resumeBehind decides where a log goes on whose end was just found. Its last owner may
// have appended up to what it had reserved, unless the mark is exact: appends that were
// lost and appends that never were look alike, so none of those offsets is given out again.
func (c *Core) resumeBehind(end messages.Position) {
	r := &c.reserve
	switch {
	case r.own:
		// Whatever this core appended with success, it knows of.
	case !r.Exists && end.Offset > 0:
		c.warn("the partition has no mark, so nothing shows whether its log has lost entries at its end; a new mark is written")
	case r.Exists && !r.Mark.Reserved.Covers(end):
		c.warn("the mark of the partition is older than its log, so nothing shows whether the log has lost entries at its end; a new mark is written")
	case r.Exists:
		r.resume = max(r.resume, r.Mark.Reserved.Offset)
	}
}

// mayAppend reports whether the next entry has a sequence that is reserved.
func (c *Core) mayAppend() bool {
	r := &c.reserve
	closing := r.writing != nil && r.writing.Exact()
	return !closing && !r.moved && !c.stopping && c.last < r.Mark.Reserved.Sequence
}

// keepMark reserves ahead of use, and says where the log ends when nothing is appended.
func (c *Core) keepMark(now time.Time) {
	r := &c.reserve
	if r.writing != nil || r.moved {
		return
	}
	busy := c.appending || !c.stopping && c.partition.Waiting()
	switch {
	case busy && !c.stopping && !c.roomy():
		c.reserveMore(now)
	case !busy && (c.stopping || now.Sub(r.active) >= idleTime) && r.Mark.Reserved != c.end():
		c.writeMark(messages.Mark{Owner: c.settings.Owner, Written: c.end(), Reserved: c.end()})
	}
}

// roomy reports whether less than half of what was reserved is used up.
func (c *Core) roomy() bool {
	left := c.reserve.Mark.Reserved
	return c.reserve.need == 0 && left.Offset-c.partition.NextOffset() > c.reserve.span/2 && left.Sequence-min(c.last, left.Sequence) > sequenceSpan/2
}

func (c *Core) reserveMore(now time.Time) {
	r := &c.reserve
	switch lasted := now.Sub(r.since); {
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

// claimable reports whether a term record may be appended: its place must be reserved.
// What the owner before had reserved stays so.
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

// markWritten makes the mark under way the one that counts.
func (c *Core) markWritten(now time.Time, e MarkWritten) {
	r := &c.reserve
	if r.writing == nil || *r.writing != e.Mark {
		return // of an earlier core of this process
	}
	r.FoundMark = FoundMark{Mark: e.Mark, Revision: e.Revision, Exists: true}
	r.own, r.writing, r.since = true, nil, now
}

// markConflict decides who has written the mark that was found. It may be this owner: the
// answer to an earlier attempt was lost. If another owner has, this one looks again who has
// the log, as soon as nothing is under way.
func (c *Core) markConflict(now time.Time, e MarkConflict) {
	r := &c.reserve
	switch {
	case r.writing == nil || *r.writing != e.Mark:
		// It was asked for before the core started over.
	case e.Found.Exists && e.Found.Mark == e.Mark:
		c.markWritten(now, MarkWritten{Mark: e.Mark, Revision: e.Found.Revision})
	default:
		r.writing, r.moved = nil, true
	}
}
