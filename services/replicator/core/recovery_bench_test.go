package core_test

import (
	"fmt"
	"testing"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/services/replicator/core"
)

const (
	pastEntries   = 1_000_000
	pastProducers = 100_000
)

// pastLog makes the entries of a log with a batch each, of producers in turn.
type pastLog struct {
	begin time.Time
	lanes [pastProducers]string
	part  []core.LoggedEntry
}

func newPastLog() *pastLog {
	l := &pastLog{begin: time.Now(), part: make([]core.LoggedEntry, 0, core.DefaultSettings("").ReadEntries)}
	for id := range l.lanes {
		l.lanes[id] = fmt.Sprint("i:", id+1)
	}
	return l
}

// end is when the last entry was made.
func (l *pastLog) end() time.Time { return l.begin.Add(pastEntries * time.Millisecond) }

// read returns the entries from a sequence on, until the next call.
func (l *pastLog) read(from uint64) core.LogRead {
	l.part = l.part[:0]
	for s := from; s <= pastEntries && len(l.part) < cap(l.part); s++ {
		id := (s * 7919) % pastProducers
		l.part = append(l.part, core.LoggedEntry{Sequence: s, Entry: messages.Entry{
			TopicID: orders.TopicID, Epoch: 1, SequencerEpoch: 1, BaseOffset: int64(s) - 1, Created: s == 1,
			Time: l.begin.Add(time.Duration(s) * time.Millisecond).UnixNano(),
			Batches: []messages.Placeholder{{
				Batch:  messages.Batch{Ticket: messages.Ticket{Lane: l.lanes[id], Number: s}, Floor: s, Records: 1, Sequence: messages.Sequence{ProducerID: int64(id) + 1, First: int32(s / pastProducers)}},
				Extent: messages.Extent{Key: "object", Length: 100},
			}},
		}})
	}
	return core.LogRead{Entries: l.part, AtEnd: len(l.part) < cap(l.part), Last: pastEntries}
}

// recoverPast starts a core from snapshots and the log behind them. Reading the log
// itself is not timed.
func recoverPast(b *testing.B, l *pastLog, all []messages.Snapshot, settings core.Settings) (*core.Core, core.Effects) {
	c := core.NewCore(orders, settings)
	c.Step(l.end(), nil)
	fx := c.Step(l.end(), []core.Event{core.Loaded{Snapshots: all}})
	for fx.Read != nil {
		b.StopTimer()
		part := l.read(fx.Read.From)
		b.StartTimer()
		fx = settle(c, l.end(), part)
	}
	if s := c.Stats(); !s.Leading || s.NextOffset != pastEntries || s.Producers != pastProducers {
		b.Fatalf("not recovered: %+v", s)
	}
	return c, fx
}

// BenchmarkRecoverFromLog recovers 100,000 producers from a log of 1,000,000 entries.
func BenchmarkRecoverFromLog(b *testing.B) {
	l := newPastLog()
	for b.Loop() {
		recoverPast(b, l, nil, core.DefaultSettings("bench"))
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/recovery")
}

// BenchmarkRecoverFromSnapshot does so from a snapshot, which it encodes and decodes,
// and from the entries that were appended behind it: one less than lead to the next.
func BenchmarkRecoverFromSnapshot(b *testing.B) {
	l := newPastLog()
	settings := core.DefaultSettings("bench")
	stored := snapshotOfPast(b, l, pastEntries-settings.SnapshotEvery+1)
	var size int
	for b.Loop() {
		data := messages.EncodeSnapshot(stored)
		size = len(data)
		s, err := messages.DecodeSnapshot(data)
		if err != nil {
			b.Fatal(err)
		}
		c, _ := recoverPast(b, l, []messages.Snapshot{s}, settings)
		if n := c.Stats().Replayed; n != settings.SnapshotEvery-1 {
			b.Fatalf("%d entries were read", n)
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/recovery")
	b.ReportMetric(float64(size)/(1<<20), "MiB")
}

// snapshotOfPast returns what an owner knows of the log up to a sequence.
func snapshotOfPast(b *testing.B, l *pastLog, sequence uint64) messages.Snapshot {
	c := core.NewCore(orders, core.DefaultSettings("writer"))
	now := l.begin.Add(time.Duration(sequence) * time.Millisecond)
	c.Step(now, nil)
	fx := c.Step(now, []core.Event{core.Loaded{}})
	for fx.Read != nil {
		part := l.read(fx.Read.From)
		if last := part.Entries[len(part.Entries)-1].Sequence; last >= sequence {
			part.Entries, part.AtEnd, part.Last = part.Entries[:uint64(len(part.Entries))-(last-sequence)], true, sequence
		}
		fx = settle(c, now, part)
	}
	// The writer's own term record stands in the place of the entry that is next.
	if fx.Save == nil {
		b.Fatal("no snapshot is made")
	}
	s := fx.Save.Snapshot
	s.Sequence, s.Time = sequence, now.UnixNano()
	return s
}
