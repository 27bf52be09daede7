package partitionlog_test

import "testing"

// BenchmarkRead reads one entry, as a follower does that keeps up with its log.
func BenchmarkRead(b *testing.B) {
	s := start(b)
	log := s.log(partition)
	must(b, log.Create(s.ctx, 1, 0))
	b.ReportAllocs()
	for b.Loop() {
		if entries, _, err := log.Read(s.ctx, 1, 256); err != nil || len(entries) != 1 {
			b.Fatalf("%d entries, %v", len(entries), err)
		}
	}
}
