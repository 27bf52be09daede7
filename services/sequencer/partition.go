package sequencer

import (
	"context"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	"laneway.dev/internal/actor"
	"laneway.dev/internal/telemetry"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// mailboxSize bounds the messages that wait for a partition; each carries many items.
const mailboxSize = 4096

// partition is the actor of one partition. The core belongs to its goroutine.
type partition struct {
	id      protocol.Partition
	service *Service
	mailbox *actor.Mailbox[messages.Message]
	stats   atomic.Pointer[Stats]
}

func (s *Service) partition(_ protocol.Topic, id protocol.Partition) *partition {
	return &partition{id: id, service: s, mailbox: actor.NewMailbox[messages.Message](mailboxSize)}
}

// Receive hands a message to the actor.
func (p *partition) Receive(ctx context.Context, m messages.Message) {
	// An error means that the actor is ending: what it held is repaired by the heartbeat.
	_ = p.mailbox.Put(ctx, m)
}

// Run is the actor's goroutine.
func (p *partition) Run(ctx context.Context) {
	core := NewCore(p.id, p.service.epoch.Epoch(), p.service.config.Heartbeat, p.service.observer(p.id))
	p.mailbox.Run(ctx, p.service.config.Heartbeat, func(now time.Time, arrived []messages.Message) bool {
		if p.service.Err() != nil {
			return false
		}
		core.SetEpoch(p.service.epoch.Epoch())
		p.service.wire.Send(core.Step(now, arrived))
		stats := core.Stats()
		p.stats.Store(&stats)
		return true
	})
}

// observer makes the span "await turn" of each batch: from the moment it was
// staged until its turn came.
func (s *Service) observer(id protocol.Partition) Observer {
	if !s.config.Telemetry.Tracing() {
		return nil
	}
	tracer := s.config.Telemetry.Tracer(role)
	common := telemetry.PartitionAttributes(id.Topic, id.Number)
	return func(b *messages.StagedBatch, staged, released time.Time) {
		if b.Trace.Parent == "" {
			return
		}
		ctx := telemetry.Extract(context.Background(), b.Trace.Parent, b.Trace.State)
		ctx, span := tracer.Start(ctx, telemetry.SpanAwaitTurn, trace.WithTimestamp(staged),
			trace.WithAttributes(common...), trace.WithAttributes(
				telemetry.Lane(b.Lane), telemetry.TicketNumber.Int64(int64(b.Number))))
		span.End(trace.WithTimestamp(released))
		b.Trace.Parent, b.Trace.State = telemetry.Inject(ctx)
	}
}
