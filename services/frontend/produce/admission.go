package produce

import (
	"sync"

	"laneway.dev/pkg/protocol"
	"laneway.dev/services/frontend/core"
)

// admission bounds the unresolved batches of this process and of each partition. Core NATS
// has no back pressure, so a request above a limit is rejected at once with OVERLOADED, and
// its producer retries later. It is safe for concurrent use.
//
// A batch is admitted when its request arrives, and released when it is answered. Example:
// with a limit of 16,384 batches, a partition whose object store has stopped answers 16,384
// requests only when the store recovers or their deadlines pass. Every further request is
// answered at once with an error, and the process needs no more memory.
type admission struct {
	limits Limits
	// One for each limit.
	batchesFull, partitionFull, processFull *core.Rejection

	mu    sync.Mutex
	bytes int64
	count int
	idle  chan struct{} // closed when no batch is unresolved; nil while no caller waits for that
}

func overloaded(format string, limit int64) *core.Rejection {
	return core.NewRejection(protocol.Errorf(protocol.CodeOverloaded, format, limit))
}

// newAdmission encodes one rejection per limit in advance: under overload, rejections are
// frequent and must be cheap.
func newAdmission(limits Limits) *admission {
	return &admission{
		limits:        limits,
		batchesFull:   overloaded("the partition has %d batches in flight, the limit", int64(limits.PartitionBatches)),
		partitionFull: overloaded("this batch would exceed the partition's limit of %d bytes in flight", limits.PartitionBytes),
		processFull:   overloaded("this batch would exceed the frontend's limit of %d bytes in flight", limits.Bytes),
	}
}

// Limits bound the unresolved batches. Zero values take their defaults. A single batch is
// always admitted when nothing else is in flight, whatever its size.
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

// share is the part of the admission that one partition uses.
type share struct {
	of    *admission
	bytes int64 // guarded by of.mu
	count int   // guarded by of.mu
}

// over returns why a batch of a size cannot be admitted now, or nil.
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

// admit admits a batch of a size, or returns why it cannot.
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

// release ends the admission of a batch. It MUST be called exactly once for each batch that
// was admitted, with the same size.
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

// drained returns a channel that is closed once no batch is unresolved.
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

// held returns the unresolved batches of the process.
func (a *admission) held() (batches int, bytes int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.count, a.bytes
}
