package bench

import (
	"context"
	"errors"
	"time"
)

// Usage is what all processes of the servers together took.
type Usage struct {
	CPUSeconds  float64 `json:"cpu_seconds"`  // user and system, during the measurement
	MemoryBytes int64   `json:"memory_bytes"` // resident at its end
}

// usage returns what the servers have taken since they were started; nil if they were not
// started by the benchmark, or if the system does not say.
func (s *servers) usage() (*Usage, error) {
	if len(s.processes) == 0 {
		return nil, nil
	}
	var sum Usage
	for _, p := range s.processes {
		used, err := processUsage(p.command.Process.Pid)
		if errors.Is(err, errors.ErrUnsupported) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		sum.CPUSeconds += used.CPUSeconds
		sum.MemoryBytes += used.MemoryBytes
	}
	return &sum, nil
}

// meter does the work and returns a round with its time and with what the servers took and
// did for it.
func (s *servers) meter(ctx context.Context, work func() error) (round Round, err error) {
	store, err := s.storeUse(ctx)
	if err != nil {
		return Round{}, err
	}
	before, err := s.usage()
	if err != nil {
		return Round{}, err
	}
	started := time.Now()
	if err := work(); err != nil {
		return Round{}, err
	}
	round.Seconds = time.Since(started).Seconds()
	if round.Servers, err = s.usage(); err != nil {
		return Round{}, err
	}
	if round.Servers != nil {
		round.Servers.CPUSeconds -= before.CPUSeconds
	}
	if len(s.pages) > 0 { // not JetStream, nor a Laneway that runs already
		after, err := s.storeUse(ctx)
		if err != nil {
			return Round{}, err
		}
		round.Store = &StoreUse{Puts: after.Puts - store.Puts, Reads: after.Reads - store.Reads, Bytes: after.Bytes - store.Bytes}
	}
	return round, nil
}
