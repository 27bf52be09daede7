package produce

import (
	"sync"

	"laneway.dev/pkg/protocol"
	"laneway.dev/services/frontend/core"
)

// admission bounds what is unresolved in this process and on each partition. Core NATS has
// no backpressure, so a request over a limit is rejected at once. It is safe for
// concurrent use.
type admission struct {
	limits Limits
	// One for each limit.
	batchesFull, partitionFull, processFull *core.Rejection

	mu    sync.Mutex
	bytes int64
	count int
	idle  chan struct{} // closed when nothing is unresolved; nil while nothing waits for that
}

func overloaded(format string, limit int64) *core.Rejection {
	return core.NewRejection(protocol.Errorf(protocol.CodeOverloaded, format, limit))
}

func newAdmission(limits Limits) *admission {
	return &admission{
		limits:        limits,
		batchesFull:   overloaded("%d batches are in flight on the partition, the limit", int64(limits.PartitionBatches)),
		partitionFull: overloaded("with this batch more than %d bytes would be in flight on the partition, the limit", limits.PartitionBytes),
		processFull:   overloaded("with this batch more than %d bytes would be in flight in this frontend, the limit", limits.Bytes),
	}
}

// Limits bound what is unresolved. Zero values take their defaults.
type Limits struct {
	Bytes            int64 // in this process; default 256 MiB
	PartitionBytes   int64 // on a partition; default 256 MiB
	PartitionBatches int   // on a partition; default 16384
}

func (l Limits) orDefaults() Limits {
	if l.Bytes == 0 {
		l.Bytes = 256 << 20
	}
	if l.PartitionBytes == 0 {
		l.PartitionBytes = 256 << 20
	}
	if l.PartitionBatches == 0 {
		l.PartitionBatches = 16384
	}
	return l
}

// share is what one partition holds of the admission.
type share struct {
	of    *admission
	bytes int64 // guarded by of.mu
	count int   // guarded by of.mu
}

// over returns why a batch of some bytes cannot be admitted now, or nil.
func (s *share) over(bytes int64) *core.Rejection {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	return s.overLocked(bytes)
}

func (s *share) overLocked(bytes int64) *core.Rejection {
	a := s.of
	switch {
	case s.count >= a.limits.PartitionBatches:
		return a.batchesFull
	case s.count > 0 && s.bytes+bytes > a.limits.PartitionBytes:
		return a.partitionFull
	case a.count > 0 && a.bytes+bytes > a.limits.Bytes:
		return a.processFull
	}
	return nil
}

// admit admits a batch of some bytes, or returns why not.
func (s *share) admit(bytes int64) *core.Rejection {
	a := s.of
	a.mu.Lock()
	defer a.mu.Unlock()
	if over := s.overLocked(bytes); over != nil {
		return over
	}
	s.bytes += bytes
	s.count++
	a.bytes += bytes
	a.count++
	return nil
}

// release gives back what a batch was admitted with. It MUST be called once for each take.
func (s *share) release(bytes int64) {
	a := s.of
	a.mu.Lock()
	defer a.mu.Unlock()
	s.bytes -= bytes
	s.count--
	a.bytes -= bytes
	a.count--
	if a.count == 0 && a.idle != nil {
		close(a.idle)
		a.idle = nil
	}
}

// drained returns a channel that is closed once nothing is unresolved.
func (a *admission) drained() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.idle == nil {
		a.idle = make(chan struct{})
	}
	idle := a.idle
	if a.count == 0 {
		close(a.idle)
		a.idle = nil
	}
	return idle
}

// held returns what is unresolved in the process.
func (a *admission) held() (batches int, bytes int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.count, a.bytes
}
