package producers

import (
	"cmp"
	"slices"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// ApplyBatch makes a batch of the log part of the table. It is never judged: the
// log is right. Evictions are not in it: a batch that does not follow the last one
// shows that its owner had forgotten the producer.
func (t *Table) ApplyBatch(s messages.Sequence, records uint32, offset int64) {
	p := t.read(s.ProducerID)
	if last := p.newest(); last != nil && s.First != protocol.AddSequence(last.last, 1) {
		p.forget()
	}
	p.settle(s.ProducerEpoch, batch{offset, s.First, s.Last(records)})
}

// ApplyFence makes a fence of the log part of the table.
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
		p.follow(before)
	}
	if other := t.names[f.Name]; other != nil && other != p && other != before {
		t.remove(other) // the owner had forgotten it
	}
	t.keepName(p)
}

// read returns the producer of the next batch or fence of the log.
func (t *Table) read(id int64) *Producer {
	t.makeRoom(id)
	p := t.find(id)
	t.turns++
	p.turn = t.turns
	return p
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
			t.remove(p)
			return
		}
	}
}

// age is when a producer was last active.
type age struct {
	active time.Duration
	turn   uint64 // in the order of the log, of those in the same moment
	id     int64
}

func (p *Producer) age() age { return age{p.active, p.turn, p.id} }

// leastRecent returns the producers with the least recent activity, up to n, in
// its order. It looks at all of them.
func (t *Table) leastRecent(n int) []age {
	all := make([]age, 0, len(t.byID))
	for _, p := range t.byID {
		all = append(all, p.age())
	}
	slices.SortFunc(all, func(a, b age) int {
		return cmp.Or(cmp.Compare(a.active, b.active), cmp.Compare(a.turn, b.turn), cmp.Compare(a.id, b.id))
	})
	return slices.Clone(all[:min(n, len(all))])
}

// Snapshot returns what is committed, by producer id.
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
			ProducerFence: messages.ProducerFence{ProducerID: p.id, ProducerEpoch: p.epoch, Name: p.name()},
			Idle:          t.clock - p.active, Batches: batches[start:len(batches):len(batches)],
		})
	}
	slices.SortFunc(all, func(a, b messages.SnapshotProducer) int { return cmp.Compare(a.ProducerID, b.ProducerID) })
	return all
}

// Restore fills an empty table from what Snapshot returned at a time.
func (t *Table) Restore(at time.Time, all []messages.SnapshotProducer) {
	t.at = at
	t.byID, t.names = make(map[int64]*Producer, len(all)), make(map[string]*Producer)
	for i := range all {
		s := &all[i]
		p := &Producer{id: s.ProducerID, epoch: s.ProducerEpoch, active: t.clock - s.Idle}
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

// At returns the time of the last Advance, to which idle times are counted.
func (t *Table) At() time.Time { return t.at }
