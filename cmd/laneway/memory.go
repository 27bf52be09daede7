package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// spareMemory is what a process may hold besides its budget.
	spareMemory = 192 << 20
	// lookAtMemory is how often the limit is adapted.
	lookAtMemory = time.Second
)

// limitMemory has the garbage collector keep the process within a budget and a spare,
// until the process ends. Without a limit the collector lets the heap grow to twice of
// what is in use. The limit gives way to what is in use, because a collector that runs
// all the time helps nobody. GOMEMLIMIT takes precedence.
func (p *process) limitMemory(budget int64) {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	former := debug.SetMemoryLimit(-1)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(lookAtMemory)
		defer ticker.Stop()
		for {
			debug.SetMemoryLimit(memoryLimit(budget, liveHeap()))
			select {
			case <-ticker.C:
			case <-ctx.Done():
				debug.SetMemoryLimit(former)
				return
			}
		}
	}()
	p.onStop("the memory limit", func(context.Context) error {
		cancel()
		<-done
		return nil
	})
}

// memoryLimit returns the limit for a budget and the heap that is in use.
func memoryLimit(budget, live int64) int64 {
	return max(budget+spareMemory, live+live/3)
}

// liveHeap returns the bytes that the last garbage collection found in use.
func liveHeap() int64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return int64(sample[0].Value.Uint64())
}
