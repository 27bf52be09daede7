package stager

import (
	"context"
	"errors"
	"time"

	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/messages"
	"laneway.dev/services/stager/core"
)

// mailboxSize bounds the messages that wait for the core; each carries many batches.
const mailboxSize = 4096

// deliver passes a message to the core, after an inspection if it has compressed frames. It
// never waits, because the subscription belongs to a queue group: while a message waits here,
// other stagers may be idle.
func (s *Service) deliver(m messages.Message) {
	stage, ok := m.(messages.Stage)
	if !ok {
		return
	}
	size := core.PayloadBytes(&stage)
	switch {
	case !s.settings.Fits(s.queued.Add(size), size):
		s.turnAway(&stage)
	case s.inspector.needed(&stage):
		if !s.inspector.start(stage, func(i core.Inspected) { s.offer(&stage, i) }) {
			s.turnAway(&stage)
		}
	default:
		s.offer(&stage, stage)
	}
}

// offer puts an event with a message into the mailbox, or refuses the message.
func (s *Service) offer(stage *messages.Stage, event core.Event) {
	if s.mailbox.Offer(event) != nil {
		s.turnAway(stage)
	}
}

// turnAway refuses a message that is counted in queued and does not reach the core.
func (s *Service) turnAway(stage *messages.Stage) {
	s.queued.Add(-core.PayloadBytes(stage))
	s.turnedAway.Add(uint64(len(stage.Batches)))
	s.Wire.Send([]messages.Envelope{s.settings.TurnAway(stage)})
}

// run is the actor's goroutine: it owns the core and ends when the core has.
func (s *Service) run() {
	defer close(s.ended)
	c := core.NewCore(s.settings)
	s.mailbox.Run(context.Background(), s.settings.Tick(), func(now time.Time, events []core.Event) bool {
		s.step(c, now, events)
		return !c.Ended()
	})
	s.refuseRest(c)
}

// refuseRest refuses the batches that were delivered after the core's last step, so that
// another stager gets them. The mailbox MUST be closed.
func (s *Service) refuseRest(c *core.Core) {
	s.step(c, time.Now(), append([]core.Event{core.Abandon{}}, s.mailbox.Rest()...))
}

func (s *Service) step(c *core.Core, now time.Time, events []core.Event) {
	for _, e := range events {
		switch e := e.(type) {
		case messages.Stage:
			s.queued.Add(-core.PayloadBytes(&e))
			s.noneInline(now, &e)
		case core.Inspected:
			s.queued.Add(-core.PayloadBytes(&e.Stage))
			s.noneInline(now, &e.Stage)
		}
	}
	fx := c.Step(now, events)
	stats := c.Stats()
	s.stats.Store(&stats) // whoever has an answer finds it counted
	for _, object := range fx.Uploads {
		s.launch(object)
	}
	s.uploader.spans.inlined(now, fx.Send)
	s.Wire.Send(fx.Send)
	s.turned.Store(true)
}

// room is what the store has said last of its room, and until when that holds.
type room struct {
	until time.Time
	full  bool
}

// roomTime is how long an answer about the room of the store holds.
const roomTime = 100 * time.Millisecond

// noneInline has small batches uploaded, too, while the store has no room. So they are refused, as all
// others are, before their log fills the disk: it may be the same one.
func (s *Service) noneInline(now time.Time, m *messages.Stage) {
	for i := range m.Batches {
		if m.Batches[i].Inline && s.full(now) {
			m.Batches[i].Inline = false
		}
	}
}

func (s *Service) full(now time.Time) bool {
	if now.After(s.room.until) {
		s.room = room{now.Add(roomTime), errors.Is(s.config.Store.Room(), objectstore.ErrFull)}
	}
	return s.room.full
}

// launch uploads an object on its own goroutine; the core bounds how many there are.
func (s *Service) launch(object *core.Object) {
	fate := s.uploader.draw()
	s.uploads.Go(func() {
		// The core does not end before it has every result, so Put returns no error.
		_ = s.mailbox.Put(context.Background(), s.uploader.upload(s.work, object, fate))
	})
}
