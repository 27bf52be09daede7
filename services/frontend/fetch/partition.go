package fetch

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/nats-io/nats.go"

	"laneway.dev/internal/partitionlog"
	"laneway.dev/pkg/protocol"
)

// position is where a log begins and ends.
type position struct {
	first    uint64 // sequence of its first entry
	sequence uint64 // of its last one
	readable uint64 // of the last one that can be read, which is the last one unless there is damage
	offset   int64  // after the last record that can be read
	damage   *protocol.Error
}

func positionOf(s partitionlog.State) position {
	return position{s.FirstSequence, s.LastSequence, s.Readable, s.NextOffset, s.Damage}
}

// partition is what the server knows of an open partition. It is safe for
// concurrent use; closed, fetches and left are guarded by the mutex of the Server.
type partition struct {
	config  Config
	id      protocol.Partition
	log     *partitionlog.Log
	reads   slots // of the log
	sub     *nats.Subscription
	closed  *protocol.Error // why it is not served any more
	fetches map[*fetch]struct{}
	left    time.Time // when the last fetch ended

	mu      sync.Mutex
	end     position
	moves   uint64        // of end
	renewed uint64        // how often end was taken from the log after a disconnection
	known   bool          // whether anything was ever heard of end
	heard   time.Time     // when end was last confirmed or asked for
	changed chan struct{} // closed and replaced when end moves

	readOnly *protocol.Error // what the log has lost, if its replicator says so
}

func newPartition(c Config, id protocol.Partition) *partition {
	return &partition{
		config: c, id: id, log: partitionlog.New(c.Conn, c.JS, id), reads: make(slots, maxLogReads),
		fetches: make(map[*fetch]struct{}), changed: make(chan struct{}),
	}
}

// advance moves the known end forward and wakes those who wait for it.
func (p *partition) advance(to position) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.heard, p.known = time.Now(), true
	if to.sequence > p.end.sequence {
		p.move(to)
	}
}

// move sets the known end. The mutex is held.
func (p *partition) move(to position) {
	if to.first == 0 {
		to.first = p.end.first
	}
	p.end = to
	p.moves++
	close(p.changed)
	p.changed = make(chan struct{})
}

// watch returns the known end, how often it was renewed, and a channel that is
// closed when it moves.
func (p *partition) watch() (end position, renewed uint64, changed <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	end = p.end
	if end.damage == nil {
		end.damage = p.readOnly
	}
	return end, p.renewed, p.changed
}

// setReadOnly notes what the log has lost, and wakes those who wait for more of it.
func (p *partition) setReadOnly(damage *protocol.Error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if (damage == nil) == (p.readOnly == nil) {
		return
	}
	p.readOnly = damage
	p.move(p.end)
}

// endOffset returns the offset after the last record, if the log was ever looked at.
func (p *partition) endOffset() (int64, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.end.offset, p.known
}

// lookUp asks the leader of the log where it ends, so that everything that was
// acknowledged before is within it.
func (p *partition) lookUp(ctx context.Context) (position, error) {
	state, err := fromLog(ctx, p.config, p.log.State)
	if err != nil {
		return position{}, err
	}
	end := positionOf(state)
	p.advance(end)
	return end, nil
}

// renew looks the end up after a disconnection. A server that was restarted may have
// lost the tail of the log, so the known end may also move back.
func (p *partition) renew(ctx context.Context) error {
	p.mu.Lock()
	before := p.moves
	p.mu.Unlock()
	end, err := p.lookUp(ctx)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.renewed++
	if p.moves == before {
		p.move(end)
	}
	return nil
}

// confirm repairs the loss of a Committed message: it looks the end up again
// unless something was heard of it within the heartbeat. Of many readers that
// wait, one asks.
func (p *partition) confirm(ctx context.Context) {
	p.mu.Lock()
	due := time.Since(p.heard) >= p.config.Heartbeat
	if due {
		p.heard = time.Now()
	}
	p.mu.Unlock()
	if !due {
		return
	}
	attempt, cancel := context.WithTimeout(ctx, p.config.LogTimeout)
	defer cancel()
	if state, err := p.log.State(attempt); err == nil {
		p.advance(positionOf(state))
	}
}

// fromLog asks JetStream, whose requests hang while there is no leader: in
// short attempts, repeated for a while. The error is of the catalogue.
func fromLog[T any](ctx context.Context, c Config, ask func(context.Context) (T, error)) (T, error) {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = 10*time.Millisecond, 500*time.Millisecond
	answer, err := backoff.Retry(ctx, func() (T, error) {
		attempt, cancel := context.WithTimeout(ctx, c.LogTimeout)
		defer cancel()
		answer, err := ask(attempt)
		if _, final := errors.AsType[*protocol.Error](err); final {
			err = backoff.Permanent(err)
		}
		return answer, err
	}, backoff.WithBackOff(pause), backoff.WithMaxElapsedTime(c.LogPatience))
	if err == nil {
		return answer, nil
	}
	if ctx.Err() != nil {
		return answer, context.Cause(ctx)
	}
	if known, ok := errors.AsType[*protocol.Error](err); ok {
		return answer, known
	}
	return answer, protocol.NewError(protocol.CodeUnavailable, err.Error())
}
