package stager

import (
	"context"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

const (
	// mailboxSize bounds the messages that wait for the core; each carries many batches.
	mailboxSize = 4096
	// tick is how often the core looks at the time while nothing happens.
	tick = crowdLinger
	// minTick bounds how often it does so for the sake of a short linger.
	minTick = time.Millisecond
)

// tickFor returns a tick that ends a linger without much delay.
func tickFor(linger time.Duration) time.Duration {
	if linger == 0 {
		return tick
	}
	return min(max(linger/8, minTick), tick)
}

// deliver hands a message to the core. It never waits: a frontend is told at
// once when there is no room.
func (s *Service) deliver(m messages.Message) {
	stage, ok := m.(messages.Stage)
	if !ok {
		return
	}
	size := payloadBytes(&stage)
	queued := s.queued.Add(size)
	// A message that is alone is let in whatever its size: the core decides.
	if queued > max(s.config.MemoryBytes, size) || s.mailbox.Offer(stage) != nil {
		s.queued.Add(-size)
		s.turnAway(&stage, errMailbox)
	}
}

var errMailbox = protocol.NewError(protocol.CodeStagerBusy, "too many batches wait to be looked at")

// turnAway refuses all batches of a message that the core has not seen.
func (s *Service) turnAway(stage *messages.Stage, reason *protocol.Error) {
	refusals := make([]messages.Refusal, len(stage.Batches))
	for i := range stage.Batches {
		refusals[i] = refusal(&Batch{StageBatch: stage.Batches[i]}, reason)
	}
	s.turnedAway.Add(uint64(len(refusals)))
	s.wire.Send([]messages.Envelope{refusedEnvelope(sender{stage.Partition, stage.Epoch}, refusals)})
}

func payloadBytes(stage *messages.Stage) int64 {
	var sum int64
	for i := range stage.Batches {
		sum += int64(len(stage.Batches[i].Payload))
	}
	return sum
}

// run is the actor's goroutine: it owns the core and ends when the core has.
func (s *Service) run() {
	defer close(s.ended)
	core := NewCore(s.config.settings())
	s.mailbox.Run(context.Background(), tickFor(s.config.Linger), func(now time.Time, events []Event) bool {
		for _, e := range events {
			if stage, ok := e.(messages.Stage); ok {
				s.queued.Add(-payloadBytes(&stage))
			}
		}
		effects := core.Step(now, events)
		for _, object := range effects.Uploads {
			s.launch(object)
		}
		s.wire.Send(effects.Send)
		stats := core.Stats()
		s.stats.Store(&stats)
		return !core.Ended()
	})
	for _, e := range s.mailbox.Rest() {
		if stage, ok := e.(messages.Stage); ok {
			s.turnAway(&stage, errEnding)
		}
	}
}

// launch uploads an object on a goroutine of its own; the core bounds how many
// there are.
func (s *Service) launch(object *Object) {
	fate := s.uploader.draw()
	s.uploads.Go(func() {
		// The core does not end before it has every result, so there is no error.
		_ = s.mailbox.Put(context.Background(), s.uploader.upload(s.work, object, fate))
	})
}
