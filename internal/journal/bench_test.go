package journal_test

import (
	"fmt"
	"sync"
	"testing"

	core "laneway.dev/internal/core/journal"
	"laneway.dev/internal/partitionlog"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// BenchmarkAppend appends to many logs, each of which has one append under way: to one stream for
// each log, and to a journal.
func BenchmarkAppend(b *testing.B) {
	entry := messages.EncodeEntry(messages.Entry{TopicID: 7, Batches: make([]messages.Placeholder, 4)})
	each := func(b *testing.B, logs int, first func(log int), next func(log int, last uint64)) {
		last := make([]uint64, logs)
		for n := range logs {
			first(n)
			last[n] = 1
		}
		appends := 0
		for b.Loop() {
			var wait sync.WaitGroup
			for n := range logs {
				wait.Go(func() {
					for range 16 {
						next(n, last[n])
						last[n]++
					}
				})
			}
			wait.Wait()
			appends += logs * 16
		}
		b.ReportMetric(float64(appends)/b.Elapsed().Seconds(), "appends/s")
	}
	for _, logs := range []int{1, 64} {
		b.Run(fmt.Sprintf("%d logs/a stream each", logs), func(b *testing.B) {
			r := start(b)
			log := func(n int) *partitionlog.Log {
				return partitionlog.New(r.conn, r.js, protocol.Partition{Topic: "a", TopicID: 7, Number: int32(n)})
			}
			each(b, logs, func(n int) { must(b, log(n).Create(b.Context(), 1, 0)) }, func(n int, last uint64) {
				if _, err := log(n).Append(b.Context(), last, entry); err != nil {
					b.Error(err)
				}
			})
		})
		b.Run(fmt.Sprintf("%d logs/a journal", logs), func(b *testing.B) {
			r := start(b)
			j := r.open()
			each(b, logs, func(n int) { r.create(j, n) }, func(n int, last uint64) {
				if _, err := j.Append(b.Context(), last, messages.Section{Log: logOf(n), Kind: messages.SectionNext, Entry: entry}); err != nil {
					b.Error(err)
				}
			})
			if state, exists, err := j.State(b.Context(), logOf(0)); err != nil || !exists || state == (core.State{}) {
				b.Fatal(state, err)
			}
		})
	}
}
