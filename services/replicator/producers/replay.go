package producers

import (
	"time"

	"laneway.dev/pkg/messages"
)

// ApplyBatch makes a batch of the log part of the table. It is never judged: the
// log is right, and evictions are not in it.
func (t *Table) ApplyBatch(s messages.Sequence, records uint32, offset int64) {
	t.makeRoom(s.ProducerID)
	t.find(s.ProducerID).settle(s.ProducerEpoch, batch{offset, s.First, s.Last(records)})
}

// ApplyFence makes a fence of the log part of the table.
func (t *Table) ApplyFence(f messages.ProducerFence) {
	t.makeRoom(f.ProducerID)
	p := t.find(f.ProducerID)
	p.name, p.epoch = f.Name, max(p.epoch, f.ProducerEpoch)
}

// makeRoom keeps the table within its limit while the log is read, a tenth at a
// time. Who wrote the log has evicted by idle time and never remembered more, so
// the least recent ones were forgotten then.
func (t *Table) makeRoom(id int64) {
	if t.byID[id] != nil || t.hasRoom() {
		return
	}
	for _, p := range t.leastRecent()[:max(t.limit/10, 1)] {
		delete(t.byID, p.id)
	}
}

// Snapshot returns what is committed.
func (t *Table) Snapshot() []messages.SnapshotProducer {
	all := make([]messages.SnapshotProducer, 0, len(t.byID))
	batches := make([]messages.SnapshotBatch, 0, len(t.byID)*Kept)
	for _, p := range t.byID {
		if p.epoch == unborn {
			continue
		}
		start := len(batches)
		for i := range p.count {
			b := &p.done[(p.next+Kept-p.count+i)%Kept]
			batches = append(batches, messages.SnapshotBatch{Offset: b.offset, First: b.first, Last: b.last})
		}
		all = append(all, messages.SnapshotProducer{
			ProducerFence: messages.ProducerFence{ProducerID: p.id, ProducerEpoch: p.epoch, Name: p.name},
			Idle:          t.clock - p.active, Batches: batches[start:len(batches):len(batches)],
		})
	}
	return all
}

// Restore fills an empty table from what Snapshot returned at a time.
func (t *Table) Restore(at time.Time, all []messages.SnapshotProducer) {
	t.at = at
	t.byID = make(map[int64]*Producer, len(all))
	for i := range all {
		s := &all[i]
		p := &Producer{id: s.ProducerID, name: s.Name, epoch: s.ProducerEpoch, active: t.clock - s.Idle}
		for _, b := range s.Batches[max(0, len(s.Batches)-Kept):] {
			p.push(batch{b.Offset, b.First, b.Last})
		}
		t.byID[p.id] = p
	}
}

// At returns the time of the last Advance, to which idle times are counted.
func (t *Table) At() time.Time { return t.at }
