package producers

import (
	"cmp"
	"slices"
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

// makeRoom keeps the table within its limit while the log is read. Who wrote the
// log has evicted by idle time and never remembered more, so the least recent one
// was forgotten then. No other one is: it may have a retry to come.
func (t *Table) makeRoom(id int64) {
	if t.byID[id] != nil || t.hasRoom() {
		return
	}
	for {
		if len(t.aged) == 0 {
			t.aged = t.leastRecent(max(t.limit/10, 1))
		}
		if len(t.aged) == 0 {
			return
		}
		oldest := t.aged[0]
		t.aged = t.aged[1:]
		if p := t.byID[oldest.id]; p != nil && p.age() == oldest {
			delete(t.byID, p.id)
			return
		}
	}
}

// age is when a producer was last active.
type age struct {
	active time.Duration
	offset int64 // of its last batch; it tells the batches of one moment apart
	id     int64
}

func (p *Producer) age() age {
	a := age{active: p.active, offset: -1, id: p.id}
	if b := p.newest(); b != nil {
		a.offset = b.offset
	}
	return a
}

// leastRecent returns the producers with the least recent activity, up to n, in
// its order. It looks at all of them.
func (t *Table) leastRecent(n int) []age {
	all := make([]age, 0, len(t.byID))
	for _, p := range t.byID {
		all = append(all, p.age())
	}
	slices.SortFunc(all, func(a, b age) int {
		return cmp.Or(cmp.Compare(a.active, b.active), cmp.Compare(a.offset, b.offset))
	})
	return slices.Clone(all[:min(n, len(all))])
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
