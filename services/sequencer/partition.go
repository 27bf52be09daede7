package sequencer

import (
	"context"

	"laneway.dev/internal/supervisor"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/sequencer/core"
)

// partition is one partition of a log.
type partition struct {
	id  protocol.Partition
	log *log
}

var _ supervisor.Actor = partition{}

func (s *Service) partition(_ protocol.Topic, id protocol.Partition) partition {
	return partition{id, s.logs.Get(id.Log)}
}

// Start implements supervisor.Actor.
func (p partition) Start() { p.log.put(context.Background(), core.Added{Partition: p.id}) }

// Receive hands a message to the actor of the log.
func (p partition) Receive(ctx context.Context, m messages.Message) { p.log.put(ctx, m) }

// Configure implements supervisor.Actor. Nothing that can be updated concerns a sequencer.
func (partition) Configure(context.Context, protocol.Topic) {}

// End implements supervisor.Actor.
func (p partition) End(error) { p.log.put(context.Background(), core.Removed{Partition: p.id}) }

// Await implements supervisor.Actor. A partition of a sequencer has nothing to release.
func (partition) Await() {}
