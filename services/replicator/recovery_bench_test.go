package replicator_test

import (
	"fmt"
	"testing"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/services/replicator"
)

const (
	pastEntries   = 1_000_000
	pastProducers = 100_000
)

// pastLog makes the entries of a log with a batch each, of producers in turn.
type pastLog struct {
	begin time.Time
	lanes [pastProducers]string
	part  []replicator.LoggedEntry
}

func newPastLog() *pastLog {
	l := &pastLog{begin: time.Now(), part: make([]replicator.LoggedEntry, 0, replicator.DefaultSettings("").ReadEntries)}
	for id := range l.lanes {
		l.lanes[id] = fmt.Sprint("i:", id+1)
	}
	return l
}

// end is when the last entry was made.
func (l *pastLog) end() time.Time { return l.begin.Add(pastEntries * time.Millisecond) }

// read returns the entries from a sequence on, until the next call.
func (l *pastLog) read(from uint64) replicator.LogRead {
	l.part = l.part[:0]
	for s := from; s <= pastEntries && len(l.part) < cap(l.part); s++ {
		id := (s * 7919) % pastProducers
		l.part = append(l.part, replicator.LoggedEntry{Sequence: s, Entry: messages.Entry{
			TopicID: partition.TopicID, Epoch: 1, SequencerEpoch: 1, BaseOffset: int64(s) - 1,
			Time: l.begin.Add(time.Duration(s) * time.Millisecond).UnixNano(),
			Batches: []messages.Placeholder{{
				Batch:  messages.Batch{Ticket: messages.Ticket{Lane: l.lanes[id], Number: s}, Floor: s, Records: 1, Sequence: messages.Sequence{ProducerID: int64(id) + 1, First: int32(s / pastProducers)}},
				Extent: messages.Extent{Key: "object", Length: 100},
			}},
		}})
	}
	return replicator.LogRead{Entries: l.part, AtEnd: len(l.part) < cap(l.part)}
}

// recoverPast starts a core from snapshots and the log behind them. Reading the log
// itself is not timed.
func recoverPast(b *testing.B, l *pastLog, all []messages.Snapshot, settings replicator.Settings) (*replicator.Core, replicator.Effects) {
	core := replicator.NewCore(partition, settings)
	core.Step(l.end(), nil)
	fx := core.Step(l.end(), []replicator.Event{replicator.Loaded{Snapshots: all}})
	for fx.Read != nil {
		b.StopTimer()
		part := l.read(fx.Read.From)
		b.StartTimer()
		fx = core.Step(l.end(), []replicator.Event{part})
	}
	fx = core.Step(l.end(), []replicator.Event{replicator.Appended{Sequence: pastEntries + 1}})
	if s := core.Stats(); !s.Leading || s.NextOffset != pastEntries || s.Producers != pastProducers {
		b.Fatalf("not recovered: %+v", s)
	}
	return core, fx
}

// BenchmarkRecoverFromLog recovers 100,000 producers from a log of 1,000,000 entries.
func BenchmarkRecoverFromLog(b *testing.B) {
	l := newPastLog()
	for b.Loop() {
		recoverPast(b, l, nil, replicator.DefaultSettings("bench"))
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/recovery")
}

// BenchmarkRecoverFromSnapshot does so from a snapshot, which it encodes and decodes,
// and from the entries that were appended behind it: one less than lead to the next.
func BenchmarkRecoverFromSnapshot(b *testing.B) {
	l := newPastLog()
	settings := replicator.DefaultSettings("bench")
	stored := snapshotOfPast(b, l, pastEntries-settings.SnapshotEvery+1)
	var size int
	for b.Loop() {
		data := messages.EncodeSnapshot(stored)
		size = len(data)
		s, err := messages.DecodeSnapshot(data)
		if err != nil {
			b.Fatal(err)
		}
		core, _ := recoverPast(b, l, []messages.Snapshot{s}, settings)
		if n := core.Stats().Replayed; n != settings.SnapshotEvery-1 {
			b.Fatalf("%d entries were read", n)
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/recovery")
	b.ReportMetric(float64(size)/(1<<20), "MiB")
}

// snapshotOfPast returns what an owner knows of the log up to a sequence.
func snapshotOfPast(b *testing.B, l *pastLog, sequence uint64) messages.Snapshot {
	core := replicator.NewCore(partition, replicator.DefaultSettings("writer"))
	now := l.begin.Add(time.Duration(sequence) * time.Millisecond)
	core.Step(now, nil)
	fx := core.Step(now, []replicator.Event{replicator.Loaded{}})
	for fx.Read != nil {
		part := l.read(fx.Read.From)
		if last := part.Entries[len(part.Entries)-1].Sequence; last >= sequence {
			part.Entries, part.AtEnd = part.Entries[:uint64(len(part.Entries))-(last-sequence)], true
		}
		fx = core.Step(now, []replicator.Event{part})
	}
	// The writer's own term record stands in the place of the entry that is next.
	fx = core.Step(now, []replicator.Event{replicator.Appended{Sequence: sequence + 1}})
	if fx.Save == nil {
		b.Fatal("no snapshot is made")
	}
	s := *fx.Save
	s.Sequence, s.Time = sequence, now.UnixNano()
	return s
}
