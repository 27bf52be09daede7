package core

import (
	"testing"

	"laneway.dev/pkg/messages"
)

// BenchmarkCore stages batches of 1 KiB: admitted, gathered, answered.
func BenchmarkCore(b *testing.B) {
	const perMessage = 100
	core := NewCore(Settings{ObjectBytes: 4 << 20, ObjectBatches: 1000, Uploads: 8, MemoryBytes: 256 << 20})
	arrived := stage(orders0)
	for i := range perMessage {
		arrived.Batches = append(arrived.Batches, batch("a", uint64(i+1), 1<<10))
	}
	extents := make([]messages.Extent, 10_000)
	events := []Event{arrived}
	b.SetBytes(perMessage << 10)
	b.ReportAllocs()
	for b.Loop() {
		fx := core.Step(noon, events)
		for _, o := range fx.Uploads {
			core.Step(noon, []Event{Uploaded{Object: o, Extents: extents[:len(o.Batches)]}})
		}
	}
	b.ReportMetric(float64(b.N)*perMessage/b.Elapsed().Seconds(), "batches/s")
}
