package core_test

import (
	"fmt"
	"testing"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/services/replicator/core"
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
	now := time.Now()
	c := benchmarkLeader(b, now)
	all := make([]messages.StagedBatch, perRelease)
	numbers := make([]uint64, lanes)
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
		now = now.Add(10 * time.Millisecond)
		b.StartTimer()
		fx := settle(c, now, release(all...))
		if len(fx.Committed) != perRelease {
			b.Fatalf("%d batches committed, want %d", len(fx.Committed), perRelease)
		}
	}
	b.ReportMetric(float64(b.N*perRelease)/b.Elapsed().Seconds(), "batches/s")
}

// benchmarkCore returns a core that waits for its first read.
func benchmarkCore() *core.Core {
	c := core.NewCore(orders, core.DefaultSettings("bench"))
	c.Step(time.Now(), []core.Event{core.Loaded{}})
	return c
}

// settle lets marks and appends succeed until none is under way, and returns the last
// effects with everything that was committed.
func settle(c *core.Core, now time.Time, events ...core.Event) core.Effects {
	fx := c.Step(now, events)
	all := fx.Committed
	for fx.Mark != nil || fx.Append != nil {
		events = nil
		if fx.Mark != nil {
			events = append(events, core.MarkWritten{Mark: fx.Mark.Mark, Revision: fx.Mark.Revision + 1})
		}
		if fx.Append != nil {
			events = append(events, core.Appended{Sequence: fx.Append.Expected + 1})
		}
		fx = c.Step(now, events)
		all = append(all, fx.Committed...)
	}
	fx.Committed = all
	return fx
}

// benchmarkLeader returns a core that leads an empty log.
func benchmarkLeader(b *testing.B, now time.Time) *core.Core {
	c := benchmarkCore()
	created := messages.Entry{TopicID: orders.TopicID, Created: true, Time: now.UnixNano()}
	settle(c, now, core.LogRead{Entries: []core.LoggedEntry{{Sequence: 1, Entry: created}}, AtEnd: true, Last: 1})
	if !c.Stats().Leading {
		b.Fatal("the core does not lead")
	}
	return c
}

// BenchmarkStepOneLane has 2,000 batches of one lane in flight.
func BenchmarkStepOneLane(b *testing.B) {
	now := time.Now()
	c := benchmarkLeader(b, now)
	next := uint64(1)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		all := batches("a", next, next+1999)
		next += 2000
		b.StartTimer()
		settle(c, now, release(all...))
	}
	b.ReportMetric(float64(b.N*2000)/b.Elapsed().Seconds(), "batches/s")
}

// BenchmarkRecovery applies a log of 100,000 entries of 4 batches each, read
// and decoded already.
func BenchmarkRecovery(b *testing.B) {
	const entries = 100_000
	log := benchmarkLog(entries)
	limit := core.DefaultSettings("bench").ReadEntries
	b.ReportAllocs()
	for b.Loop() {
		c := benchmarkCore()
		for at := 0; at < entries; at += limit {
			end := min(at+limit, entries)
			settle(c, log[0].Entry.At(), core.LogRead{Entries: log[at:end], AtEnd: end == entries, Last: entries})
		}
		if s := c.Stats(); !s.Leading || s.NextOffset == 0 {
			b.Fatalf("not recovered: %+v", s)
		}
	}
	b.ReportMetric(float64(b.N*entries)/b.Elapsed().Seconds(), "entries/s")
}

func benchmarkLog(entries int) []core.LoggedEntry {
	log := make([]core.LoggedEntry, entries)
	start := time.Now()
	var next int64
	for i := range log {
		n := messages.Entry{TopicID: orders.TopicID, Epoch: 1, SequencerEpoch: 1, BaseOffset: next, Created: i == 0}
		n.Time = start.Add(time.Duration(i) * time.Millisecond).UnixNano()
		for k := range 4 {
			number := uint64(i/16 + 1)
			staged := floored(batch(fmt.Sprintf("lane-%d", (4*i+k)%64), number), max(number, 20)-19)
			p := staged.Placeholder()
			p.MessageID = fmt.Sprintf("%d-%d", i, k)
			n.Batches = append(n.Batches, p)
		}
		next = n.NextOffset()
		log[i] = core.LoggedEntry{Sequence: uint64(i + 1), Entry: n}
	}
	return log
}
