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
	core "laneway.dev/services/frontend/core/fetch"
)

// partition is an open partition with the known end of its log. It is safe for concurrent
// use. closed, fetches and left are guarded by the mutex of the Server.
type partition struct {
	config  Config
	id      protocol.Partition
	log     *partitionlog.Log
	reads   slots // of the log
	sub     *nats.Subscription
	closed  *protocol.Error // why it was closed; nil while it is open
	fetches map[*fetch]struct{}
	left    time.Time // when the last fetch ended

	mu      sync.Mutex
	end     core.LogEnd
	first   firstEntry
	changed chan struct{}       // closed and replaced when end moves
	reading map[uint64]*logRead // by the entry that is read first
}

func newPartition(c Config, id protocol.Partition) *partition {
	return &partition{
		config: c, id: id, log: partitionlog.New(c.Conn, c.JS, id), reads: make(slots, maxLogReads),
		fetches: make(map[*fetch]struct{}), changed: make(chan struct{}), reading: make(map[uint64]*logRead),
	}
}

// update changes the known end of the log, and wakes the fetches that wait for a change.
func (p *partition) update(change func(end *core.LogEnd)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.end.Moves()
	change(&p.end)
	if p.end.Moves() != before {
		close(p.changed)
		p.changed = make(chan struct{})
	}
}

// advance takes a state of the log from a commit or a look-up.
func (p *partition) advance(to core.LogState) {
	p.update(func(end *core.LogEnd) { end.Advance(time.Now(), to) })
}

// setReadOnly takes the replicator's report of damage, nil if there is none.
func (p *partition) setReadOnly(damage *protocol.Error) {
	p.update(func(end *core.LogEnd) { end.SetReadOnly(damage) })
}

// watch returns the known end of the log, how often it has changed, and a channel that is
// closed at the next change.
func (p *partition) watch() (known core.Known, moves uint64, changed <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.end.Known(), p.end.Moves(), p.changed
}

// state asks the leader of the log for its state.
func (p *partition) state(ctx context.Context) (core.LogState, error) {
	ask := p.log.State
	if known, _, _ := p.watch(); known.Damage != nil {
		ask = p.log.DamagedState // without damage, a log that is gone is that of a deleted topic
	}
	s, err := ask(ctx)
	if err != nil {
		return core.LogState{}, err
	}
	begin := int64(0)
	if s.Entries > 0 && !s.History.Archived() {
		begin, err = p.begin(ctx, s.FirstSequence)
	}
	return core.LogState{
		First: s.FirstSequence, Begin: begin, Last: s.LastSequence, Readable: s.Readable, Offset: s.NextOffset, Damage: s.Damage,
		History: s.History,
	}, err
}

// begin returns the first offset of a log of which nothing is archived. first is the first sequence of its stream; the
// entry is read only once per sequence.
func (p *partition) begin(ctx context.Context, first uint64) (int64, error) {
	p.mu.Lock()
	known := p.first
	p.mu.Unlock()
	if known.sequence == first {
		return known.offset, nil
	}
	offset, err := p.log.Begin(ctx, first)
	if err == nil {
		p.mu.Lock()
		p.first = firstEntry{first, offset}
		p.mu.Unlock()
	}
	return offset, err
}

// firstEntry is the beginning of a log; zero if it was not looked up.
type firstEntry struct {
	sequence uint64
	offset   int64
}

// lookUp asks the leader of the log for its state, which includes every record that was
// acknowledged before the call.
func (p *partition) lookUp(ctx context.Context) (core.LogState, error) {
	state, err := fromLog(ctx, p.config, p.state)
	if err == nil {
		p.advance(state)
	}
	return state, err
}

// renew looks the state up after a disconnection.
func (p *partition) renew(ctx context.Context) error {
	_, before, _ := p.watch()
	state, err := fromLog(ctx, p.config, p.state)
	if err == nil {
		p.update(func(end *core.LogEnd) { end.Renew(time.Now(), state, before) })
	}
	return err
}

// mayHaveMissed reports whether the caller should confirm the state, because a Committed
// message may have been lost. Only one of many waiting fetches gets true.
func (p *partition) mayHaveMissed() (due bool) {
	p.update(func(end *core.LogEnd) { due = end.Confirm(time.Now(), p.config.Heartbeat) })
	return due
}

// confirm looks the state up. It does not retry, because the next heartbeat will.
func (p *partition) confirm(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, p.config.LogTimeout)
	defer cancel()
	if state, err := p.state(ctx); err == nil {
		p.advance(state)
	}
}

// fromLog runs a request to JetStream in short attempts, which it repeats for LogPatience: a
// request hangs while the stream has no leader. Errors are from the catalogue.
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
