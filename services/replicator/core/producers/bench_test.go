package producers_test

import (
	"math/rand/v2"
	"runtime"
	"testing"

	"laneway.dev/pkg/messages"
	"laneway.dev/services/replicator/core/producers"
)

const benchmarkProducers = 100_000

// sender draws batches of many producers in random order.
type sender struct {
	next  []int32 // by producer
	order []int32
	at    int
}

func newSender() *sender {
	s := &sender{next: make([]int32, benchmarkProducers), order: make([]int32, 1<<20)}
	random := rand.New(rand.NewPCG(1, 2))
	for i := range s.order {
		s.order[i] = random.Int32N(benchmarkProducers)
	}
	return s
}

func (s *sender) draw() messages.Sequence {
	id := s.order[s.at&(len(s.order)-1)]
	s.at++
	first := s.next[id]
	s.next[id]++
	return messages.Sequence{ProducerID: int64(id) + 1, First: first}
}

// fill makes a table that knows all producers, with five batches each.
func (s *sender) fill() *producers.Table {
	table := producers.New(expiry, benchmarkProducers)
	table.Advance(start)
	for id := range s.next {
		for ; s.next[id] < producers.Kept; s.next[id]++ {
			sequence := messages.Sequence{ProducerID: int64(id) + 1, First: s.next[id]}
			table.ApplyBatch(sequence, 1, int64(id)*producers.Kept+int64(s.next[id]))
		}
	}
	return table
}

// BenchmarkAccept decides about, accepts and commits batches of 100,000 producers in random
// order, with 1,000 in flight.
func BenchmarkAccept(b *testing.B) {
	const inFlight = 1000
	s := newSender()
	table := s.fill()
	var flying [inFlight]*producers.Producer
	step := func(i int) {
		slot := &flying[i%inFlight]
		if *slot != nil {
			table.Commit(*slot, int64(i))
		}
		sequence := s.draw()
		j := table.Decide(sequence, 1, sequence.First)
		if j.Result != producers.Accept {
			b.Fatalf("%+v gets %+v", sequence, j)
		}
		*slot = table.Accept(j, sequence, 1)
	}
	i := 0
	for range 1 << 20 { // spares are made
		step(i)
		i++
	}
	b.ReportAllocs()
	for b.Loop() {
		step(i)
		i++
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "batches/s")
}

// BenchmarkIdleProducer measures what a producer takes that has nothing in flight.
func BenchmarkIdleProducer(b *testing.B) {
	used := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	var bytes uint64
	for b.Loop() {
		s := newSender()
		before := used()
		table := s.fill()
		bytes += used() - before
		runtime.KeepAlive(table)
		runtime.KeepAlive(s)
	}
	b.ReportMetric(float64(bytes)/float64(b.N)/benchmarkProducers, "bytes/producer")
}

// BenchmarkSnapshotOfProducers copies what is committed of 100,000 producers.
func BenchmarkSnapshotOfProducers(b *testing.B) {
	s := newSender()
	table := s.fill()
	b.ReportAllocs()
	for b.Loop() {
		table.Snapshot()
	}
}
