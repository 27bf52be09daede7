package replicator

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"laneway.dev/internal/partitionlog"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/replicator/core"
)

// append begins one attempt to append an entry. Its result goes to the core. Only an
// error that JetStream answered proves that the entry is not in the log; after a timeout it
// may be there. append never repeats an attempt, because the core must read the log first.
func (p *owner) append(a core.Append) {
	p.work.Add(1)
	ctx, cancel := p.attempt(p.ctx, p.service.config.AppendTimeout)
	p.log.AppendThen(ctx, a.Expected, a.Data, func(sequence uint64, err error) {
		cancel()
		if err == nil {
			p.put(core.Appended{Sequence: sequence})
			p.work.Done()
			return
		}
		go func() {
			defer p.work.Done()
			p.appendFailed(p.ctx, err)
		}()
	})
}

// appendFailed sends the core why an append has failed.
func (p *owner) appendFailed(ctx context.Context, err error) {
	switch {
	case ctx.Err() != nil:
	case p.service.registry.Gone(ctx, p.id):
		p.put(core.AppendFailed{Deleted: true})
	default:
		answered := errors.Is(err, partitionlog.ErrMoved) || errors.Is(err, partitionlog.ErrSealed)
		p.service.config.Logger.Warn("an append failed; the log is read to find out whether it has the entry",
			zap.Stringer("partition", p.id), zap.Error(err))
		p.put(core.AppendFailed{Moved: answered, Reason: err.Error()})
	}
}

// read reads a part of the log, and retries until it succeeds.
func (p *owner) read(ctx context.Context, r core.Read) {
	pause(ctx, r.After)
	result, ok := untilDone(ctx, p, "the log cannot be read; retrying", func(ctx context.Context) (core.LogRead, error) {
		ctx, cancel := p.attempt(ctx, readTimeout)
		defer cancel()
		return p.readOnce(ctx, r)
	})
	if ok {
		p.put(result)
	}
}

// readOnce reads a part of the log. At the end of what it reads, it asks the stream's leader
// for the last sequence: reads may be served by a replica that lags.
func (p *owner) readOnce(ctx context.Context, r core.Read) (core.LogRead, error) {
	entries, atEnd, err := p.log.Read(ctx, r.From, r.Limit)
	switch {
	case errors.Is(err, protocol.NewError(protocol.CodeCorrupt, "")):
		if p.service.registry.Gone(ctx, p.id) {
			return core.LogRead{Deleted: true}, nil
		}
		return core.LogRead{Entries: entries, Corrupt: err.Error()}, nil
	case err != nil:
		return p.unreadable(ctx, err)
	case !atEnd:
		return core.LogRead{Entries: entries}, nil
	}
	last := r.From - 1
	if len(entries) > 0 {
		last = entries[len(entries)-1].Sequence
	}
	end, err := p.log.Confirm(ctx, last)
	return core.LogRead{Entries: entries, AtEnd: !end.Behind, Last: end.Last, Sealed: end.Sealed, Suspect: end.Suspect}, err
}

// unreadable returns a LogRead if the log could not be read because its topic or its stream
// does not exist, and the error otherwise.
func (p *owner) unreadable(ctx context.Context, err error) (core.LogRead, error) {
	if _, lookErr := p.log.Bounds(ctx); errors.Is(lookErr, partitionlog.ErrNoLog) {
		return core.LogRead{Gone: true, Deleted: p.service.registry.Gone(ctx, p.id)}, nil
	}
	return core.LogRead{}, err
}

// maxRecovering bounds the attempts to load snapshots that are under way at once, of all partitions.
// Thousands of partitions recover when a replicator starts. Together, most of their requests would run
// into their timeouts. What partitions share needs no bound: the more of them read their logs at once, the
// fewer groups are read twice.
const maxRecovering = 64

// recovering makes an attempt that takes part in a recovery as soon as there are fewer than
// maxRecovering. An attempt MUST have a timeout.
func recovering[T any](ctx context.Context, s *Service, attempt func(context.Context) (T, error)) (result T, err error) {
	select {
	case s.recoveries <- struct{}{}:
		defer func() { <-s.recoveries }()
	case <-ctx.Done():
		return result, ctx.Err()
	}
	return attempt(ctx)
}

// readTimeout bounds an attempt to read a part of a log. Its requests have shorter timeouts: this one is for
// thousands of logs that are read at the same time.
const readTimeout = 30 * time.Second

// attempt begins an attempt to append or to read, with a timeout. disconnected ends it early when the
// connection is lost, because its answer cannot arrive then. cancel MUST be called when it has ended.
func (p *owner) attempt(ctx context.Context, timeout time.Duration) (bounded context.Context, cancel context.CancelFunc) {
	bounded, end := context.WithTimeout(ctx, timeout)
	p.interrupt.Store(&end)
	return bounded, func() {
		p.interrupt.Store(nil)
		end()
	}
}

// disconnected ends the attempt under way, if there is one.
func (p *owner) disconnected() {
	if interrupt := p.interrupt.Load(); interrupt != nil {
		(*interrupt)()
	}
}
