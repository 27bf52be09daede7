package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/protocol"
)

// Fleet is a number of producers that send at the same time.
type Fleet struct {
	Producers []*Producer
}

// Config says what a fleet is like.
type Config struct {
	Partition protocol.Partition
	Name      string // of the fleet; those of its producers begin with it
	Producers int
	InFlight  int           // of each producer
	Patience  time.Duration // see NewProducer
	Bytes     []int         // of batches at least, in turn; see Pad
}

// NewFleet returns a fleet that sends over one connection.
func NewFleet(conn *nats.Conn, c Config) (*Fleet, error) {
	f := &Fleet{}
	for n := range c.Producers {
		p, err := NewProducer(conn, c.Partition, fmt.Sprintf("%s%d", c.Name, n), c.InFlight, c.Patience)
		if err != nil {
			return nil, err
		}
		p.bytes = c.Bytes
		f.Producers = append(f.Producers, p)
	}
	return f, conn.Flush()
}

// Send lets every producer send a number of batches, and returns when all are
// answered or given up.
func (f *Fleet) Send(ctx context.Context, batches int) error {
	return f.each(func(p *Producer) error {
		for range batches {
			if err := p.Send(ctx); err != nil {
				return err
			}
		}
		return p.Settle(ctx)
	})
}

// SendUntil lets every producer send until stop is closed, whatever happens to
// the connection, and returns when all is answered or given up. ctx bounds it.
func (f *Fleet) SendUntil(ctx context.Context, stop <-chan struct{}) error {
	sending, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-stop:
			cancel()
		case <-sending.Done():
		}
	}()
	return f.each(func(p *Producer) error {
		p.sendOn(sending)
		return p.Settle(ctx)
	})
}

// sendOn sends until ctx ends. What cannot be sent because the connection is
// lost is tried again after a while.
func (p *Producer) sendOn(ctx context.Context) {
	const pause = 5 * time.Millisecond
	pace := time.NewTicker(pause)
	defer pace.Stop()
	for ctx.Err() == nil {
		if p.Send(ctx) == nil {
			continue
		}
		select {
		case <-pace.C:
		case <-ctx.Done():
		}
	}
}

// each runs do for all producers side by side.
func (f *Fleet) each(do func(*Producer) error) error {
	var running sync.WaitGroup
	errs := make([]error, len(f.Producers))
	for i, p := range f.Producers {
		running.Go(func() { errs[i] = do(p) })
	}
	running.Wait()
	return errors.Join(errs...)
}

// Batches returns what all producers have sent, by their names.
func (f *Fleet) Batches() map[string][]Batch {
	all := make(map[string][]Batch, len(f.Producers))
	for _, p := range f.Producers {
		all[p.Name] = p.Batches()
	}
	return all
}

// All returns what all producers have sent.
func (f *Fleet) All() []Batch {
	var all []Batch
	for _, p := range f.Producers {
		all = append(all, p.Batches()...)
	}
	return all
}

// Faults returns what the answers had that no answer may have.
func (f *Fleet) Faults() error {
	var errs []error
	for _, p := range f.Producers {
		for _, fault := range p.Faults() {
			errs = append(errs, errors.New(fault))
		}
	}
	return errors.Join(errs...)
}
