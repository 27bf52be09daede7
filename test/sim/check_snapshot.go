package sim

import (
	"cmp"
	"math"
	"slices"
	"time"

	"laneway.dev/pkg/messages"
	replicator "laneway.dev/services/replicator/core"
)

// replayed checks the newest snapshot against what a core makes of the log up to
// there. What is not in the log may differ: idle times, evictions, floors and
// refusals that were only heard of.
func (c *checks) replayed() {
	kept := c.w.newest
	if kept == nil {
		return
	}
	c.w.counts.SnapshotsReplayed++
	if kept.Sequence > uint64(len(c.w.log.committed)) {
		c.w.violated("snapshot: it is of entry %d, the log ends with %d", kept.Sequence, len(c.w.log.committed))
		return
	}
	made := replay(c.w.log.committed[:kept.Sequence])
	if kept.NextOffset != made.NextOffset || kept.LastMessageID != made.LastMessageID {
		c.w.violated("snapshot: that of entry %d ends with offset %d, message id %q, the log with %d, %q",
			kept.Sequence, kept.NextOffset, kept.LastMessageID, made.NextOffset, made.LastMessageID)
	}
	if kept.FrontendEpoch < made.FrontendEpoch || kept.SequencerEpoch < made.SequencerEpoch {
		c.w.violated("snapshot: that of entry %d is of epochs %d, %d, the log of %d, %d",
			kept.Sequence, kept.FrontendEpoch, kept.SequencerEpoch, made.FrontendEpoch, made.SequencerEpoch)
	}
	c.sameProducers(kept, made)
	c.sameIDs(kept, made)
	c.sameLanes(kept, made)
}

// began checks that an owner which was offered a snapshot has read no more of the log
// than what follows it: the log is always the one that the snapshot is of.
func (c *checks) began(p *process, snapshot uint64, st replicator.Stats) {
	if read := snapshot + st.Replayed; snapshot > 0 && read >= st.Term+1 {
		c.w.violated("snapshot: %s has read %d entries before its term record, %d, and a snapshot of entry %d", p, st.Replayed, st.Term, snapshot)
	}
}

// replay returns the snapshot of a core that has read some entries and nothing else.
func replay(entries []messages.LoggedEntry) *messages.Snapshot {
	s := replicator.DefaultSettings("replay")
	s.SnapshotEvery, s.Epoch = 1, math.MaxUint64
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
			return fx.Save
		case fx.Mark != nil:
			events = append(events, replicator.MarkWritten{Mark: fx.Mark.Mark, Revision: 1})
		case fx.Append != nil:
			events = append(events, replicator.Appended{Sequence: fx.Append.Expected + 1})
		}
	}
	return &messages.Snapshot{}
}

func (c *checks) sameProducers(kept, made *messages.Snapshot) {
	order := func(a, b messages.SnapshotProducer) int { return cmp.Compare(a.ProducerID, b.ProducerID) }
	slices.SortFunc(kept.Producers, order)
	slices.SortFunc(made.Producers, order)
	same := func(a, b messages.SnapshotProducer) bool {
		return a.ProducerFence == b.ProducerFence && slices.Equal(a.Batches, b.Batches)
	}
	from := made.Producers
	if c.w.config.Mix.Memory > 0 { // the log forgets nothing
		same = func(a, b messages.SnapshotProducer) bool {
			n := len(b.Batches) - len(a.Batches)
			return a.ProducerFence == b.ProducerFence && n >= 0 && slices.Equal(a.Batches, b.Batches[n:])
		}
		from = slices.DeleteFunc(slices.Clone(from), func(p messages.SnapshotProducer) bool {
			return !slices.ContainsFunc(kept.Producers, func(k messages.SnapshotProducer) bool { return k.ProducerID == p.ProducerID })
		})
	}
	if !slices.EqualFunc(kept.Producers, from, same) {
		c.w.violated("snapshot: that of entry %d knows the producers %+v, the log %+v", kept.Sequence, kept.Producers, made.Producers)
	}
}

func (c *checks) sameIDs(kept, made *messages.Snapshot) {
	order := func(a, b messages.SnapshotID) int { return cmp.Compare(a.ID, b.ID) }
	slices.SortFunc(kept.MessageIDs, order)
	slices.SortFunc(made.MessageIDs, order)
	from := made.MessageIDs
	if c.w.config.Mix.Memory > 0 {
		from = slices.DeleteFunc(slices.Clone(from), func(i messages.SnapshotID) bool {
			return !slices.ContainsFunc(kept.MessageIDs, func(k messages.SnapshotID) bool { return k.ID == i.ID })
		})
	}
	if !slices.EqualFunc(kept.MessageIDs, from, func(a, b messages.SnapshotID) bool {
		return a.ID == b.ID && a.Offset == b.Offset
	}) {
		c.w.violated("snapshot: that of entry %d knows the message ids %+v, the log %+v", kept.Sequence, kept.MessageIDs, made.MessageIDs)
	}
}

func (c *checks) sameLanes(kept, made *messages.Snapshot) {
	if kept.FrontendEpoch != made.FrontendEpoch {
		return // the lanes of the log are void
	}
	for _, m := range made.Lanes {
		if kept.Watermark >= m.Settled {
			continue // the lane was evicted, perhaps heard of again
		}
		i := slices.IndexFunc(kept.Lanes, func(l messages.SnapshotLane) bool { return l.Lane == m.Lane })
		if i < 0 {
			c.w.violated("snapshot: that of entry %d has no lane %s, and a watermark of %d below %d",
				kept.Sequence, m.Lane, kept.Watermark, m.Settled)
			continue
		}
		k := &kept.Lanes[i]
		if k.Settled < m.Settled || k.Floor < m.Floor {
			c.w.violated("snapshot: that of entry %d has lane %+v, the log %+v", kept.Sequence, *k, m)
		}
		for _, d := range m.Done {
			if d.Number > kept.Watermark && d.Number >= k.Floor && !slices.Contains(k.Done, d) {
				c.w.violated("snapshot: that of entry %d has lane %+v, the log %+v", kept.Sequence, *k, m)
			}
		}
	}
}
