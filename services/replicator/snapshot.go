package replicator

import (
	"time"

	"laneway.dev/pkg/messages"
)

// save asks for a snapshot once enough entries were appended since the last one.
func (c *Core) save() {
	if c.saving || c.last-c.saved < c.settings.SnapshotEvery {
		return
	}
	if c.snapshotSize() > c.settings.SnapshotBytes {
		c.stats.Oversized++
		c.saved = c.last
		return
	}
	c.stats.Snapshots++
	c.saving = true
	s := c.snapshot()
	c.fx.Save = &s
}

// snapshotSize returns roughly how many bytes a snapshot takes.
func (c *Core) snapshotSize() int {
	const lane, id, producer = 30, 24, 110
	return c.lanes.bytes + lane*c.lanes.len() + c.ids.bytes + id*c.ids.len() + producer*c.producers.Len()
}

// snapshot returns everything that is in the log: nothing that is in flight.
func (c *Core) snapshot() messages.Snapshot {
	return messages.Snapshot{
		TopicID: c.partition.TopicID, Incarnation: c.partition.Incarnation, Sequence: c.last, NextOffset: c.nextOffset, Time: c.lastTime, LastMessageID: c.lastID,
		Owner: c.settings.Owner, OwnerEpoch: c.settings.Epoch,
		FrontendEpoch: c.frontend, SequencerEpoch: c.sequencer, Watermark: c.lanes.watermark,
		Lanes: c.lanes.snapshot(), MessageIDs: c.ids.snapshot(),
		ProducersAt: c.producers.At().UnixNano(), Producers: c.producers.Snapshot(),
	}
}

// loaded starts from the newest snapshot of this very log. Whether the log goes
// with it is seen when its next part is read.
func (c *Core) loaded(now time.Time, e Loaded) {
	if c.phase != loading {
		return
	}
	c.phase, c.asked = reading, false
	if e.Mark.Damage != "" {
		// JetStream cannot overwrite a mark that it cannot read.
		c.damaged(now, e.Mark.Damage)
		return
	}
	c.reserve.FoundMark = e.Mark
	for i := range e.Snapshots {
		s := &e.Snapshots[i]
		if s.TopicID == c.partition.TopicID && s.Incarnation == c.partition.Incarnation && s.Sequence > 0 {
			c.restore(s)
			return
		}
	}
}

func (c *Core) restore(s *messages.Snapshot) {
	c.unproven = s
	c.last, c.saved = s.Sequence, s.Sequence
	c.stats.Covered = s.Sequence
	c.nextOffset, c.lastTime, c.lastID = s.NextOffset, s.Time, s.LastMessageID
	c.frontend, c.sequencer = s.FrontendEpoch, s.SequencerEpoch
	c.lanes.restore(time.Unix(0, s.Time), s.Watermark, s.Lanes)
	c.ids.restore(s.MessageIDs)
	c.producers.Restore(time.Unix(0, s.ProducersAt), s.Producers)
}

// readFrom is where to go on reading: at the entry that a snapshot ends with, to
// see that it is the one.
func (c *Core) readFrom() uint64 {
	if c.unproven != nil {
		return c.last
	}
	return c.last + 1
}

// forget drops everything that was read from snapshot and log.
func (c *Core) forget() {
	c.unproven = nil
	c.last, c.saved, c.nextOffset, c.lastTime, c.risingFrom, c.lastID = 0, 0, 0, 0, 0, ""
	c.frontend, c.sequencer = 0, 0
	c.lanes, c.ids, c.producers = newLanes(), newMessageIDs(c.settings), newProducers(c.settings)
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
	return all
}

// restore takes the lanes of a snapshot, which count as active when it was made.
func (s *lanes) restore(at time.Time, watermark uint64, all []messages.SnapshotLane) {
	s.watermark, s.swept = watermark, at
	for i := range all {
		l := s.of(all[i].Lane)
		l.active = at
		l.seen, l.logged, l.floor = all[i].Settled, all[i].Settled, all[i].Floor
		for _, d := range all[i].Done {
			l.done = append(l.done, done{d.Number, d.Offset, d.Duplicate})
		}
	}
}

// snapshot returns the committed ids within the window, in the order of their times.
func (m *messageIDs) snapshot() []messages.SnapshotID {
	all := make([]messages.SnapshotID, 0, len(m.order))
	for _, o := range m.order {
		if f := m.byID[o.id]; f != nil && f.at.Equal(o.at) {
			all = append(all, messages.SnapshotID{ID: o.id, Offset: f.offset, Time: o.at.UnixNano()})
		}
	}
	return all
}

func (m *messageIDs) restore(all []messages.SnapshotID) {
	for _, i := range all {
		m.commit(i.ID, &firstUse{}, i.Offset, time.Unix(0, i.Time))
	}
}
