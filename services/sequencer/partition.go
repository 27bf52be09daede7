package sequencer

import (
	"context"

	"laneway.dev/internal/supervisor"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// partition is one partition of a log.
type partition struct {
	id  protocol.Partition
	log *log
}

var _ supervisor.Actor = partition{}

func (s *Service) partition(_ protocol.Topic, id protocol.Partition) partition {
	return partition{id, s.log(id.Log)}
}

// Start implements supervisor.Actor.
func (p partition) Start() { p.log.add(p.id) }

// Receive implements supervisor.Actor. Messages come to the log, not to the partition.
func (partition) Receive(context.Context, messages.Message) {}

// Configure implements supervisor.Actor. Nothing that can be updated concerns a sequencer.
func (partition) Configure(context.Context, protocol.Topic) {}

// End implements supervisor.Actor.
func (p partition) End(error) { p.log.remove(p.id) }

// Await implements supervisor.Actor. A partition of a sequencer has nothing to release.
func (partition) Await() {}
