package produce

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"go.uber.org/zap"

	"laneway.dev/internal/supervisor"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/frontend/core"
)

// Partition is one partition of a log, whose actor owns its core. It is safe for concurrent use.
type Partition struct {
	id      protocol.Partition
	stream  string // name in acknowledgements
	service *Service
	log     *log
	topic   atomic.Pointer[protocol.Topic]
	share   *share
	spans   spans
	stats   atomic.Pointer[core.Stats]
	ready   chan struct{}                  // closed when requests are admitted
	removed chan struct{}                  // closed by the actor of the log, which does not know it any more
	ended   chan struct{}                  // closed when it has ended
	refusal atomic.Pointer[protocol.Error] // for requests that arrive after the end
	own     atomic.Uint64                  // number of lanes with a single request

	mu     sync.Mutex
	intake *intake // nil before ready and after closing
}

var _ supervisor.Actor = (*Partition)(nil)

// Partition returns a partition of a topic. Start starts it.
func (s *Service) Partition(topic protocol.Topic, id protocol.Partition) *Partition {
	if _, err := topic.FitPayload(s.config.Conn.MaxPayload()); err != nil && id.Number == 0 {
		s.config.Logger.Warn("NATS' max_payload is too small for a topic; its largest records will be rejected",
			zap.String("topic", topic.Name), zap.Error(err))
	}
	p := &Partition{
		id: id, stream: id.Stream(), service: s, log: s.logs.Get(id.Log), share: &share{of: s.admission},
		spans: newSpans(s.config.Telemetry, id), ready: make(chan struct{}), removed: make(chan struct{}), ended: make(chan struct{}),
	}
	p.topic.Store(&topic)
	return p
}

// ID returns the partition.
func (p *Partition) ID() protocol.Partition { return p.id }

// Topic returns the topic of the partition.
func (p *Partition) Topic() protocol.Topic { return *p.topic.Load() }

// Configure implements supervisor.Actor. When it returns, requests are checked and staged by
// the new topic, and the server has its subjects.
func (p *Partition) Configure(ctx context.Context, topic protocol.Topic) {
	p.topic.Store(&topic)
	_ = p.log.mailbox.Put(ctx, core.Codec{Partition: p.id, Codec: topic.Codec()}) // an error means that the actor is ending
	p.mu.Lock()
	opened := p.intake
	p.mu.Unlock()
	if opened == nil {
		return // it will be opened with the new subjects
	}
	if err := opened.change(ctx, subjectsOf(topic, p.id)); err != nil {
		p.service.config.Logger.Error("the frontend cannot change its subscriptions to the produce subjects of the partition; restart the frontend",
			zap.Stringer("partition", p.id), zap.Error(err))
	}
}

// Ready returns a channel that is closed once requests are admitted.
func (p *Partition) Ready() <-chan struct{} { return p.ready }

// Stats returns the statistics of the partition after its last turn.
func (p *Partition) Stats() core.Stats {
	if stats := p.stats.Load(); stats != nil {
		return *stats
	}
	return core.Stats{}
}

// Receive passes a message to the actor of the log. It waits for room until ctx ends, so that
// further messages wait in the NATS client.
func (p *Partition) Receive(ctx context.Context, m messages.Message) {
	var event core.Event = m
	if c, ok := m.(messages.Committed); ok {
		entry, err := messages.DecodeEntry(c.Entry)
		if err != nil {
			p.service.config.Logger.Error("a committed entry cannot be decoded", zap.Stringer("partition", p.id), zap.Error(err))
			return
		}
		event = committed{core.CommittedEntry{Partition: p.id, Entry: entry}, c}
	}
	// An error means that the actor is ending. It needs no messages then.
	_ = p.log.mailbox.Put(ctx, event)
}

// Start implements supervisor.Actor. The partition can be fetched, and requests are admitted once
// the frontend has an epoch and the sequencer knows it.
func (p *Partition) Start() {
	config := &p.service.config
	if err := config.Fetches.Open(p.Topic(), int(p.id.Number)); err != nil {
		config.Logger.Error("the partition cannot be fetched", zap.Stringer("partition", p.id), zap.Error(err))
	}
	if p.log.mailbox.Put(context.Background(), added{p}) != nil {
		p.release(p.ending(nil).Refusal()) // a younger frontend exists
	}
}

// End implements supervisor.Actor. Tickets are answered first, and then the requests that have been
// delivered meanwhile.
func (p *Partition) End(cause error) {
	go func() {
		defer close(p.ended)
		ending := p.ending(cause)
		refusal := ending.Refusal()
		p.refusal.Store(refusal)
		// An error means that a younger frontend exists: the actor of the log has ended, and
		// nothing is answered.
		_ = p.log.mailbox.Put(context.Background(), ending)
		p.release(refusal)
		if p.log.mailbox.Put(context.Background(), removed{p}) != nil {
			return
		}
		select {
		case <-p.removed:
		case <-p.log.Ended():
		}
	}()
}

// Await implements supervisor.Actor.
func (p *Partition) Await() { <-p.ended }

// release ends the fetches of the partition, and the admission of requests. It returns when all
// delivered ones are admitted or rejected.
func (p *Partition) release(refusal *protocol.Error) {
	p.refusal.Store(refusal)
	p.service.config.Fetches.Close(p.id, refusal)
	p.close()
}

// ending returns the event for an end for a cause, or for the replacement of the whole frontend.
func (p *Partition) ending(cause error) core.Ending {
	end := core.Ending{Partition: p.id, Replaced: p.service.replaced()}
	switch {
	case errors.Is(cause, supervisor.ErrDeleted):
		end.Reason = core.Deleted
	case errors.Is(cause, supervisor.ErrRenewed):
		end.Reason = core.Renewed
	}
	return end
}
