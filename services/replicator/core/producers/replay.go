package producers

import (
	"cmp"
	"slices"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// ApplyBatch adds a batch of the log to the table. The batch is not checked: its owner
// decided when it appended it. The log does not record evictions. A batch that does not
// continue the known sequences shows that its owner had evicted the producer, so the
// history before it is dropped here as well.
func (t *Table) ApplyBatch(s messages.Sequence, records uint32, offset int64) {
	p := t.read(s.ProducerID)
	if last := p.newest(); last != nil && s.First != protocol.AddSequence(last.last, 1) {
		p.forget()
	}
	p.settle(s.ProducerEpoch, batch{offset, s.First, s.Last(records)})
}

// ApplyFence adds a fence of the log to the table.
func (t *Table) ApplyFence(f messages.LoggedFence) {
	var before *Producer
	if f.Continues != 0 && t.byID[f.Continues] != nil {
		before = t.read(f.Continues)
	}
	p := t.read(f.ProducerID)
	if f.Anew {
		p.forget()
	}
	p.rename(f.Name)
	p.epoch = f.ProducerEpoch
	if before != nil {
		p.continueHistory(before)
	}
	if other := t.names[f.Name]; other != nil && other != p && other != before {
		t.remove(other) // the owner had evicted it
	}
	t.keepName(p)
}

// read returns the producer of the next batch or fence of the log, and makes it the most
// recent one.
func (t *Table) read(id int64) *Producer {
	t.makeRoom(id)
	return t.find(id)
}

// makeRoom keeps the table within its limit while the log is read. The owner that wrote the
// log had room for a new producer. So if the table is full, that owner had evicted some by
// idle time, which the clock of this table does not count as far, or its limit was higher. The
// times in the log distinguish the two: a producer is evicted only if it was idle by them for
// longer than the expiry. Otherwise the table exceeds its limit, because a retry of any of its
// producers may still arrive.
//
// Example: the limit was lowered from 100,000 to 10, and a new owner reads the log of 50,000
// producers. It remembers all that were active within the expiry.
func (t *Table) makeRoom(id int64) {
	if t.byID[id] != nil || t.hasRoom() {
		return
	}
	for {
		if len(t.aged) == 0 {
			t.aged = t.leastRecent(max(len(t.byID)/10, 1))
		}
		if len(t.aged) == 0 {
			return
		}
		oldest := t.aged[0]
		p := t.byID[oldest.id]
		current := p != nil && p.age() == oldest
		if current && t.at.UnixNano()-oldest.at <= int64(t.expiry) && len(t.byID) < protocol.MaxProducersLimit {
			return
		}
		t.aged = t.aged[1:]
		if current {
			t.remove(p)
			return
		}
	}
}

// age orders producers by their last activity.
type age struct {
	active time.Duration
	at     int64 // orders producers that were active at the same time of the table
	id     int64
}

func (p *Producer) age() age { return age{p.active, p.at, p.id} }

// leastRecent returns the n producers with the least recent activity, oldest first. Its time
// grows with the number of all producers, so makeRoom requests many of them at a time.
func (t *Table) leastRecent(n int) []age {
	all := make([]age, 0, len(t.byID))
	for _, p := range t.byID {
		all = append(all, p.age())
	}
	slices.SortFunc(all, func(a, b age) int {
		return cmp.Or(cmp.Compare(a.active, b.active), cmp.Compare(a.at, b.at), cmp.Compare(a.id, b.id))
	})
	return slices.Clone(all[:min(n, len(all))])
}

// Snapshot returns the committed state of all producers, sorted by producer id.
func (t *Table) Snapshot() []messages.SnapshotProducer {
	all := make([]messages.SnapshotProducer, 0, len(t.byID))
	batches := make([]messages.SnapshotBatch, 0, len(t.byID)*Kept)
	for _, p := range t.byID {
		if p.epoch == noEpoch {
			continue
		}
		start := len(batches)
		for i := range p.count {
			b := &p.done[(p.next+Kept-p.count+i)%Kept]
			batches = append(batches, messages.SnapshotBatch{Offset: b.offset, First: b.first, Last: b.last})
		}
		all = append(all, messages.SnapshotProducer{
			ProducerFence: messages.ProducerFence{ProducerID: p.id, ProducerEpoch: p.epoch, Name: p.name()},
			Idle:          t.clock - p.active, Batches: batches[start:len(batches):len(batches)],
		})
	}
	slices.SortFunc(all, func(a, b messages.SnapshotProducer) int { return cmp.Compare(a.ProducerID, b.ProducerID) })
	return all
}

// Restore fills an empty table with a result of Snapshot. at is the time of the table then.
func (t *Table) Restore(at time.Time, all []messages.SnapshotProducer) {
	t.at = at
	t.byID, t.names = make(map[int64]*Producer, len(all)), make(map[string]*Producer)
	for i := range all {
		s := &all[i]
		p := &Producer{
			id: s.ProducerID, epoch: s.ProducerEpoch, active: t.clock - s.Idle, at: at.Add(-s.Idle).UnixNano(),
		}
		p.rename(s.Name)
		for _, b := range s.Batches[max(0, len(s.Batches)-Kept):] {
			p.push(batch{b.Offset, b.First, b.Last})
		}
		t.byID[p.id] = p
		if other := t.names[s.Name]; other == nil || other.active < p.active {
			t.keepName(p)
		}
	}
}

// At returns the time of the last Advance. Idle times in a snapshot end at it.
func (t *Table) At() time.Time { return t.at }
