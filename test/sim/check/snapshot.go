package check

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	replicator "laneway.dev/services/replicator/core"
)

// Leads means that a replicator has become the owner of the log. Snapshot is the entry of the
// newest snapshot that it was offered, and Replayed the number of entries that it has read.
// Every snapshot belongs to this log, so the replicator reads only what follows the snapshot.
type Leads struct {
	Owner                    string
	Snapshot, Replayed, Term uint64
}

func (l Leads) look(s *State) {
	if l.Snapshot > 0 && l.Snapshot+l.Replayed >= l.Term+1 {
		s.violated("snapshot: %s has read %d entries before its term record, %d, and a snapshot of entry %d", l.Owner, l.Replayed, l.Term, l.Snapshot)
	}
}

// Snapshot compares a snapshot with the one that a core makes from the log up to the same
// entry. The two may differ in what the log does not contain: idle times, evictions, and
// floors and refusals that the owner knows only from messages. forgets means that the
// snapshot may have forgotten producers and message ids.
func Snapshot(partition protocol.Partition, kept *messages.Snapshot, log []messages.LoggedEntry, forgets bool) error {
	if kept.Sequence > uint64(len(log)) {
		return fmt.Errorf("snapshot: it is of entry %d, the log ends with %d", kept.Sequence, len(log))
	}
	c := comparison{kept: kept, made: replay(partition, log[:kept.Sequence]), forgets: forgets}
	c.positions()
	c.producers()
	c.ids()
	c.lanes()
	return c.err
}

// comparison compares a snapshot that was kept with one that was made of the log.
type comparison struct {
	kept, made *messages.Snapshot
	forgets    bool
	err        error
}

func (c *comparison) violated(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf(format, args...)
	}
}

func (c *comparison) positions() {
	kept, made := c.kept, c.made
	if kept.NextOffset != made.NextOffset || kept.LastMessageID != made.LastMessageID {
		c.violated("snapshot: that of entry %d ends with offset %d, message id %q, the log with %d, %q",
			kept.Sequence, kept.NextOffset, kept.LastMessageID, made.NextOffset, made.LastMessageID)
	}
	if kept.FrontendEpoch < made.FrontendEpoch || kept.SequencerEpoch < made.SequencerEpoch {
		c.violated("snapshot: that of entry %d is of epochs %d, %d, the log of %d, %d",
			kept.Sequence, kept.FrontendEpoch, kept.SequencerEpoch, made.FrontendEpoch, made.SequencerEpoch)
	}
}

// replay returns the snapshot of a core that has read some entries and nothing else.
func replay(partition protocol.Partition, entries []messages.LoggedEntry) *messages.Snapshot {
	s := replicator.DefaultSettings("replay")
	s.SnapshotEvery, s.Epoch = 1, math.MaxUint64
	s.IDWindow, s.LaneExpiry = math.MaxInt64, math.MaxInt64 // the times of entries may jump by days
	core := replicator.NewCore(partition, s)
	now := time.Unix(0, entries[len(entries)-1].Entry.Time)
	core.Step(now, nil)
	events := []replicator.Event{
		replicator.Loaded{}, replicator.LogRead{Entries: entries, AtEnd: true, Last: uint64(len(entries))},
	}
	for len(events) > 0 {
		fx := core.Step(now, events[:1])
		events = events[1:]
		switch {
		case fx.Save != nil:
			return &fx.Save.Snapshot
		case fx.Mark != nil:
			events = append(events, replicator.MarkWritten{Mark: fx.Mark.Mark, Revision: 1})
		case fx.Append != nil:
			events = append(events, replicator.Appended{Sequence: fx.Append.Expected + 1})
		}
	}
	return &messages.Snapshot{}
}

func (c *comparison) producers() {
	kept, made := c.kept, c.made
	order := func(a, b messages.SnapshotProducer) int { return cmp.Compare(a.ProducerID, b.ProducerID) }
	slices.SortFunc(kept.Producers, order)
	slices.SortFunc(made.Producers, order)
	same := func(a, b messages.SnapshotProducer) bool {
		return a.ProducerFence == b.ProducerFence && slices.Equal(a.Batches, b.Batches)
	}
	from := made.Producers
	if c.forgets { // the log forgets nothing
		same = func(a, b messages.SnapshotProducer) bool {
			n := len(b.Batches) - len(a.Batches)
			named := b.ProducerFence
			if a.Name == "" {
				named.Name = "" // its batches came after the fence was forgotten
			}
			return a.ProducerFence == named && n >= 0 && slices.Equal(a.Batches, b.Batches[n:])
		}
		from = slices.DeleteFunc(slices.Clone(from), func(p messages.SnapshotProducer) bool {
			return !slices.ContainsFunc(kept.Producers, func(k messages.SnapshotProducer) bool { return k.ProducerID == p.ProducerID })
		})
	}
	if !slices.EqualFunc(kept.Producers, from, same) {
		c.violated("snapshot: that of entry %d knows the producers %+v, the log %+v", kept.Sequence, kept.Producers, made.Producers)
	}
}

func (c *comparison) ids() {
	kept, made := c.kept, c.made
	order := func(a, b messages.SnapshotID) int { return cmp.Compare(a.ID, b.ID) }
	slices.SortFunc(kept.MessageIDs, order)
	slices.SortFunc(made.MessageIDs, order)
	from := made.MessageIDs
	if c.forgets {
		from = slices.DeleteFunc(slices.Clone(from), func(i messages.SnapshotID) bool {
			return !slices.ContainsFunc(kept.MessageIDs, func(k messages.SnapshotID) bool { return k.ID == i.ID })
		})
	}
	if !slices.EqualFunc(kept.MessageIDs, from, func(a, b messages.SnapshotID) bool {
		return a.ID == b.ID && a.Offset == b.Offset
	}) {
		c.violated("snapshot: that of entry %d knows the message ids %+v, the log %+v", kept.Sequence, kept.MessageIDs, made.MessageIDs)
	}
}

func (c *comparison) lanes() {
	kept, made := c.kept, c.made
	if kept.FrontendEpoch != made.FrontendEpoch {
		return // the lanes of the log are void
	}
	for _, m := range made.Lanes {
		if kept.LanesAbove >= m.Settled {
			continue // the lane was evicted, perhaps heard of again
		}
		i := slices.IndexFunc(kept.Lanes, func(l messages.SnapshotLane) bool { return l.Lane == m.Lane })
		if i < 0 {
			c.violated("snapshot: that of entry %d has no lane %s, and starts lanes above %d, below %d",
				kept.Sequence, m.Lane, kept.LanesAbove, m.Settled)
			continue
		}
		k := &kept.Lanes[i]
		if k.Settled < m.Settled || k.Floor < m.Floor {
			c.violated("snapshot: that of entry %d has lane %+v, the log %+v", kept.Sequence, *k, m)
		}
		for _, d := range m.Done {
			if d.Number > kept.LanesAbove && d.Number >= k.Floor && !slices.Contains(k.Done, d) {
				c.violated("snapshot: that of entry %d has lane %+v, the log %+v", kept.Sequence, *k, m)
			}
		}
	}
}
