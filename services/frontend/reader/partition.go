package reader

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/nats-io/nats.go"

	"laneway.dev/internal/partitionlog"
	"laneway.dev/pkg/messages"
)

// position is where a log ends: its last sequence, and the offset after its
// last record.
type position struct {
	sequence uint64
	offset   int64
}

// partition is what the reader knows of an open partition. It is safe for
// concurrent use; closed, fetches and left are guarded by the Reader's mutex.
type partition struct {
	config  Config
	id      messages.Partition
	log     *partitionlog.Log
	reads   slots // of the log
	sub     *nats.Subscription
	closed  bool
	fetches map[*fetch]struct{}
	left    time.Time // when the last fetch ended

	mu      sync.Mutex
	end     position
	known   bool          // whether anything was ever heard of end
	heard   time.Time     // when end was last confirmed or asked for
	changed chan struct{} // closed and replaced when end moves
}

func newPartition(c Config, id messages.Partition) *partition {
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
	if to.sequence <= p.end.sequence {
		return
	}
	p.end = to
	close(p.changed)
	p.changed = make(chan struct{})
}

// watch returns the known end and a channel that is closed when it moves.
func (p *partition) watch() (position, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.end, p.changed
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
	end := position{state.LastSequence, state.NextOffset}
	p.advance(end)
	return end, nil
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
		p.advance(position{state.LastSequence, state.NextOffset})
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
		if _, final := errors.AsType[*messages.Error](err); final {
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
	if known, ok := errors.AsType[*messages.Error](err); ok {
		return answer, known
	}
	return answer, messages.NewError(messages.CodeUnavailable, err.Error())
}
