package process

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// spareMemory is what a process may use beside its budget.
	spareMemory = 192 << 20
	// limitInterval is how often the limit is adapted to the heap.
	limitInterval = time.Second
	// startPercent is by how much the heap may grow in the first startTime before it is collected. What a
	// process reads when it starts stays in memory, so collections find little, and they would come as often
	// as the heap doubles.
	startPercent = 400
	startTime    = 10 * time.Second
)

// LimitMemory makes the garbage collector keep the process within a budget, in
// bytes, plus a spare, until the shutdown. Without a limit the heap may grow to
// twice the memory in use before it is collected.
//
// If more memory than that is in use, the limit is raised: otherwise the collector
// would run all the time without freeing anything. The variables GOMEMLIMIT and GOGC
// have precedence.
func (p *Process) LimitMemory(budget int64) {
	if os.Getenv("GOGC") == "" {
		former := debug.SetGCPercent(startPercent)
		usual := time.AfterFunc(startTime, func() { debug.SetGCPercent(former) })
		p.OnStop("the garbage collector's first seconds", func(context.Context) error {
			if usual.Stop() {
				debug.SetGCPercent(former)
			}
			return nil
		})
	}
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	former := debug.SetMemoryLimit(-1)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(limitInterval)
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
	p.OnStop("the memory limit", func(context.Context) error {
		cancel()
		<-done
		return nil
	})
}

// memoryLimit returns the limit for a budget and the live heap, all in bytes.
func memoryLimit(budget, live int64) int64 {
	return max(budget+spareMemory, live+live/3)
}

// liveHeap returns the bytes that the last garbage collection found in use; 0 if
// the runtime does not know.
func liveHeap() int64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return int64(sample[0].Value.Uint64())
}
