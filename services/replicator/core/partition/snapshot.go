package partition

import (
	"cmp"
	"slices"
	"time"

	"laneway.dev/pkg/messages"
)

// Snapshot fills in the state of the partition as the log has it, without what is in flight.
func (c *Core) Snapshot(s *messages.Snapshot) {
	s.NextOffset, s.LastMessageID, s.LanesAbove = c.nextOffset, c.lastID, c.lanes.above
	s.Lanes, s.MessageIDs = c.lanes.snapshot(), c.ids.snapshot(c.clock.now, s.Time)
	s.ProducersAt, s.Producers = c.producers.At().UnixNano(), c.producers.Snapshot()
	s.History, s.Runs = c.archive.history, slices.Clone(c.archive.runs.list)
}

// Restore takes what Snapshot has filled in. The Core MUST be new, or Forget was just called.
func (c *Core) Restore(s *messages.Snapshot) {
	c.nextOffset, c.lastID = s.NextOffset, s.LastMessageID
	at := time.Unix(0, s.Time)
	c.clock = clock{now: at, read: at}
	c.lanes.restore(at, s.LanesAbove, s.Lanes)
	c.ids.restore(s.MessageIDs)
	c.producers.Restore(time.Unix(0, s.ProducersAt), s.Producers)
	c.archive.history = s.History
	c.archive.runs.restore(s.Runs)
}

// Forget drops all state that was read from a snapshot and the log.
func (c *Core) Forget() {
	c.nextOffset, c.lastID = 0, ""
	c.clock = clock{}
	c.lanes, c.ids, c.producers = newLanes(), newMessageIDs(c.settings), newProducers(c.settings)
	c.archive.forget()
}

func (s *lanes) snapshot() []messages.SnapshotLane {
	all := make([]messages.SnapshotLane, 0, len(s.byName))
	for name, l := range s.byName {
		kept := messages.SnapshotLane{Lane: name, Settled: l.logged, Floor: l.floor}
		for _, d := range l.done {
			kept.Done = append(kept.Done, messages.SnapshotTicket{Number: d.number, Offset: d.offset, Duplicate: d.duplicate})
		}
		all = append(all, kept)
	}
	slices.SortFunc(all, func(a, b messages.SnapshotLane) int { return cmp.Compare(a.Lane, b.Lane) })
	return all
}

// restore takes the lanes of a snapshot. They count as active at the time of the snapshot.
func (s *lanes) restore(at time.Time, above uint64, all []messages.SnapshotLane) {
	s.above, s.swept = above, at
	for i := range all {
		l := s.of(all[i].Lane)
		l.active = at
		l.seen, l.logged, l.floor = all[i].Settled, all[i].Settled, all[i].Floor
		for _, d := range all[i].Done {
			l.done = append(l.done, done{d.Number, d.Offset, d.Duplicate})
		}
	}
}

// snapshot returns the committed ids within the window, in the order of their times. The ages of
// their windows are taken off the time of the snapshot: the clock may have been set since they began.
func (m *messageIDs) snapshot(now time.Time, at int64) []messages.SnapshotID {
	all := make([]messages.SnapshotID, 0, len(m.order))
	for _, o := range m.order {
		if f := m.byID[o.id]; f != nil && f.at.Equal(o.at) {
			all = append(all, messages.SnapshotID{ID: o.id, Offset: f.offset, Time: at - int64(now.Sub(o.at))})
		}
	}
	return all
}

func (m *messageIDs) restore(all []messages.SnapshotID) {
	for _, i := range all {
		m.commit(i.ID, &firstUse{}, i.Offset, time.Unix(0, i.Time))
	}
}
