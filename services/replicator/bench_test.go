package replicator_test

import (
	"fmt"
	"testing"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/services/replicator"
)

// BenchmarkStep commits releases of 1,000 batches of 64 lanes, one entry each,
// without the log.
func BenchmarkStep(b *testing.B) {
	for _, ids := range []bool{false, true} {
		b.Run(fmt.Sprintf("ids=%t", ids), func(b *testing.B) { benchmarkStep(b, ids) })
	}
}

func benchmarkStep(b *testing.B, ids bool) {
	const perRelease, lanes = 1000, 64
	core, now := benchmarkCore(), time.Now()
	core.Step(now, []replicator.Event{replicator.LogRead{AtEnd: true}})
	core.Step(now, []replicator.Event{replicator.Appended{Sequence: 1}})
	all := make([]messages.StagedBatch, perRelease)
	numbers := make([]uint64, lanes)
	sequence := uint64(1)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		for i := range all {
			lane := i % lanes
			numbers[lane]++
			all[i] = floored(batch(fmt.Sprintf("lane-%d", lane), numbers[lane]), max(numbers[lane], 20)-19)
			if ids {
				all[i].MessageID = fmt.Sprintf("%d-%d", lane, numbers[lane])
			}
		}
		sequence++
		now = now.Add(10 * time.Millisecond)
		b.StartTimer()
		core.Step(now, []replicator.Event{release(all...)})
		fx := core.Step(now, []replicator.Event{replicator.Appended{Sequence: sequence}})
		if len(fx.Committed) != perRelease {
			b.Fatalf("%d batches committed, want %d", len(fx.Committed), perRelease)
		}
	}
	b.ReportMetric(float64(b.N*perRelease)/b.Elapsed().Seconds(), "batches/s")
}

// benchmarkCore returns a core that waits for its first read.
func benchmarkCore() *replicator.Core {
	core := replicator.NewCore(partition, replicator.DefaultSettings("bench"))
	core.Step(time.Now(), []replicator.Event{replicator.Loaded{}})
	return core
}

// BenchmarkStepOneLane has 2,000 batches of one lane in flight.
func BenchmarkStepOneLane(b *testing.B) {
	core, now := benchmarkCore(), time.Now()
	core.Step(now, []replicator.Event{replicator.LogRead{AtEnd: true}})
	core.Step(now, []replicator.Event{replicator.Appended{Sequence: 1}})
	next, sequence := uint64(1), uint64(1)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		all := batches("a", next, next+1999)
		next += 2000
		sequence++
		b.StartTimer()
		core.Step(now, []replicator.Event{release(all...)})
		core.Step(now, []replicator.Event{replicator.Appended{Sequence: sequence}})
	}
	b.ReportMetric(float64(b.N*2000)/b.Elapsed().Seconds(), "batches/s")
}

// BenchmarkRecovery applies a log of 100,000 entries of 4 batches each, read
// and decoded already.
func BenchmarkRecovery(b *testing.B) {
	const entries = 100_000
	log := benchmarkLog(entries)
	limit := replicator.DefaultSettings("bench").ReadEntries
	b.ReportAllocs()
	for b.Loop() {
		core := benchmarkCore()
		for at := 0; at < entries; at += limit {
			end := min(at+limit, entries)
			core.Step(log[0].Entry.At(), []replicator.Event{replicator.LogRead{Entries: log[at:end], AtEnd: end == entries}})
		}
		core.Step(log[0].Entry.At(), []replicator.Event{replicator.Appended{Sequence: entries + 1}})
		if s := core.Stats(); !s.Leading || s.NextOffset == 0 {
			b.Fatalf("not recovered: %+v", s)
		}
	}
	b.ReportMetric(float64(b.N*entries)/b.Elapsed().Seconds(), "entries/s")
}

func benchmarkLog(entries int) []replicator.LoggedEntry {
	log := make([]replicator.LoggedEntry, entries)
	start := time.Now()
	var next int64
	for i := range log {
		n := messages.Entry{TopicID: partition.TopicID, Epoch: 1, SequencerEpoch: 1, BaseOffset: next}
		n.Time = start.Add(time.Duration(i) * time.Millisecond).UnixNano()
		for k := range 4 {
			number := uint64(i/16 + 1)
			staged := floored(batch(fmt.Sprintf("lane-%d", (4*i+k)%64), number), max(number, 20)-19)
			p := staged.Placeholder()
			p.MessageID = fmt.Sprintf("%d-%d", i, k)
			n.Batches = append(n.Batches, p)
		}
		next = n.NextOffset()
		log[i] = replicator.LoggedEntry{Sequence: uint64(i + 1), Entry: n}
	}
	return log
}
