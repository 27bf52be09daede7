package repair

import (
	"context"
	"time"

	"laneway.dev/internal/partitionlog"
	"laneway.dev/pkg/messages"
)

// copying makes the entries of the new log from those of the old one, once.
type copying struct {
	*planning
	created messages.Entry // the first one of the new log
	made    *continuation
	state   archivedState
	next    int64 // the offset of the first new record, at least
	begun   bool  // the old log has its first entry
	copied  int64
	dropped []droppedEntry
	// unreadable are the offsets of copied batches whose objects were lost with the history.
	unreadable []Offsets
}

// droppedEntry is an entry of the old log with batches that are not in the new one.
type droppedEntry struct {
	sequence uint64
	batches  int64
	Offsets
}

func (p *planning) newCopying(newState stateMaker) *copying {
	c := &copying{planning: p, next: p.next}
	snapshot := p.snapshot
	if snapshot != nil {
		snapshot = new(*snapshot) // it is changed
	}
	b := beginning{offset: p.beginOffset, snapshot: snapshot, generation: p.generation, readopted: p.archived.lost.End.Sequence}
	if snapshot != nil {
		b.frontend, b.sequencer = snapshot.FrontendEpoch, snapshot.SequencerEpoch
		if d := p.archived.diverged; d > 0 && snapshot.Sequence >= d {
			b.snapshot = nil // it takes dropped batches for present
		}
	}
	if p.history.Archived() {
		b.offset, b.history, b.time, b.rising = p.history.End.Offset, p.history, p.last.LastTime, p.last.RisingFrom
	}
	c.made, c.created = newContinuation(p.old, p.first, b)
	c.state = newArchivedState(c, b.snapshot, newState)
	return c
}

// run makes all entries, and calls store for each of them.
func (c *copying) run(ctx context.Context, store func(context.Context, messages.Entry) error) error {
	if err := c.bounded(ctx, func(ctx context.Context) error { return store(ctx, c.created) }); err != nil {
		return err
	}
	if b := c.bounds; b != nil {
		err := c.log.Walk(ctx, b.First, b.Last, func(e messages.LoggedEntry) error {
			c.begun = c.begun || e.Sequence == b.First && e.Entry.Created
			return c.entry(ctx, &e, store)
		}, c.missing)
		if err != nil {
			return err
		}
	}
	c.state.finish()
	if !c.marked || c.made.offset > c.next {
		c.next = max(c.next, c.made.offset) + safetyMargin
	}
	return store(ctx, c.made.finish(c.next, c.frontend, time.Now().UnixNano()))
}

// entry handles an entry of the old log.
func (c *copying) entry(ctx context.Context, e *messages.LoggedEntry, store func(context.Context, messages.Entry) error) error {
	switch {
	case c.diverges(e):
		c.state.finish()
		if c.drop(e) {
			return nil
		}
	case c.state.entry(e):
		return nil
	}
	gone, err := c.gone(ctx, e)
	if err != nil {
		return err
	}
	if gone {
		c.made.heed(&e.Entry)
		c.made.missing(partitionlog.Missing{First: e.Sequence, Last: e.Sequence})
		return nil
	}
	entries, err := c.made.entry(e)
	if err != nil {
		return err
	}
	c.copied++
	c.addProgress(Progress{Entries: 1})
	for _, n := range entries {
		if err := store(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

func (c *copying) missing(m partitionlog.Missing) error {
	if m.Last > c.history.End.Sequence {
		c.state.finish()
		c.made.missing(m)
	}
	return nil
}

// diverges reports whether an entry is not one that the history has.
func (c *copying) diverges(e *messages.LoggedEntry) bool {
	return c.archived.diverged > 0 && e.Sequence >= c.archived.diverged
}

// drop reports whether an entry that the history does not have is left out, because the history has
// records at its offsets. Of an entry that stays, only a gap before it may overlap with the history.
func (c *copying) drop(e *messages.LoggedEntry) bool {
	n, end := &e.Entry, c.history.End.Offset
	if n.BaseOffset >= end {
		n.Gap = min(n.Gap, n.BaseOffset-end)
		return false
	}
	c.made.heed(n)
	if len(n.Batches) > 0 {
		c.dropped = append(c.dropped, droppedEntry{e.Sequence, int64(len(n.Batches)), Offsets{n.BaseOffset, new(n.NextOffset())}})
	}
	return true
}

// plan returns what the run has made.
func (c *copying) plan() Plan {
	p := Plan{
		FirstSequence: c.first, NextSequence: c.made.sequence + 1, NextOffset: c.made.offset, Copied: c.copied, GivenUp: c.givenUp(),
		StateLost: c.state.lost(), Unreadable: c.unreadable,
	}
	for _, d := range c.dropped {
		p.DroppedRecords += *d.To - d.From
		p.Dropped = join(p.Dropped, d.Offsets)
	}
	lost, now := c.archived.lost, c.history
	if lost.Archived() {
		p.LostManifest, p.LostReason = lost.Manifest, c.archived.lostReason
		if now.Archived() && now.Start < lost.Start {
			p.Restored = &Offsets{now.Start, new(min(lost.Start, now.End.Offset))}
		}
	}
	if now.Archived() && (lost.Archived() || c.archived.found) {
		p.Replacement = &History{Manifest: now.Manifest, StartOffset: now.Start, EndSequence: now.End.Sequence, EndOffset: now.End.Offset, Found: true}
	}
	return p
}

// givenUp returns the offsets without records. Those of a lost history before the begin of the log
// are no gap in it.
func (c *copying) givenUp() []Offsets {
	lost, begin := c.archived.lost, c.made.begin
	if lost.Archived() && !c.history.Archived() && lost.Start < begin {
		return append([]Offsets{{lost.Start, new(begin)}}, c.made.lost...)
	}
	return orEmpty(c.made.lost)
}

// join appends offsets to a list. They rise.
func join(to []Offsets, o Offsets) []Offsets {
	if n := len(to); n > 0 && *to[n-1].To == o.From {
		to[n-1].To = o.To
		return to
	}
	return append(to, o)
}
