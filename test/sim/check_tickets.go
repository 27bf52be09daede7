package sim

import (
	"slices"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	frontend "laneway.dev/services/frontend/core"
	"laneway.dev/test/sim/describe"
)

// issued notes the tickets of a frontend: what it asks to stage for the first time.
func (c *checks) issued(s *frontendService, m messages.Message) {
	stage, is := m.(messages.Stage)
	if !is {
		return
	}
	for i := range stage.Batches {
		b := &stage.Batches[i]
		t := ticket{laneKey{stage.Epoch, b.Lane}, b.Number}
		if b.Attempt > 1 {
			c.w.counts.Restaged++
			c.stagedAgain(s, t)
			continue
		}
		if c.issues[t] != nil {
			c.w.violated("I1: %s is issued twice by %s", t, s.p)
		}
		c.w.counts.Issued++
		n := &issue{
			ticket: t, at: c.w.now, key: readKey(b.Payload), messageID: b.MessageID, expect: b.Expect, plain: b.Sequence.ProducerID == 0,
			staging: c.w.now,
		}
		c.issues[t] = n
		c.open[t.laneKey] = append(c.open[t.laneKey], n)
	}
}

// stagedAgain checks that nothing is staged again but what a stager has refused, or
// has had time enough to stage.
func (c *checks) stagedAgain(s *frontendService, t ticket) {
	i := c.issues[t]
	if took := c.w.now.Sub(i.staging); !i.turnedAway && took < stageTimeout {
		c.w.violated("repair: %s stages %s again after %s", s.p, t, took)
	}
	i.staging, i.turnedAway = c.w.now, false
}

// turnedAway notes that a frontend hears of refusals of stagers.
func (c *checks) turnedAway(m messages.Refused) {
	for i := range m.Refusals {
		r := &m.Refusals[i]
		if n := c.issues[ticket{laneKey{m.Epoch, r.Lane}, r.Number}]; n != nil {
			n.turnedAway = true
		}
	}
}

// answered checks that answers of a lane leave once, in ticket order, in time.
func (c *checks) answered(s *frontendService, a frontend.Answer) {
	t := ticket{laneKey{a.Epoch, a.Lane}, a.Number}
	i := c.issues[t]
	if i == nil && s.renewing {
		return // the turn in which it was issued was the last one, which sends nothing
	}
	if i == nil || i.answered {
		c.w.violated("I3: %s answers %s, which is not open", s.p, t)
		return
	}
	if a.Number <= c.lastAnswer[t.laneKey] {
		c.w.violated("I4: %s is answered behind %d", t, c.lastAnswer[t.laneKey])
	}
	if latest := c.latest(s, i); c.w.now.After(latest) {
		c.w.violated("I3: %s is answered %s too late", t, c.w.now.Sub(latest))
	}
	c.lastAnswer[t.laneKey] = a.Number
	i.answered = true
	c.open[t.laneKey] = slices.DeleteFunc(c.open[t.laneKey], func(o *issue) bool { return o == i })
	if a.Error != nil {
		c.w.counts.refused(a.Error.Code)
		c.promised(i, a.Error.Code)
	} else if !a.Duplicate {
		if last, some := c.lastOffset[t.laneKey]; some && a.Offset <= last {
			c.w.violated("I4: %s is answered with offset %d, the one before with %d", t, a.Offset, last)
		}
		c.lastOffset[t.laneKey] = a.Offset
	}
	c.undisturbed(i, a)
}

// latest is when a ticket is to be answered at the latest: a heartbeat after the
// deadline, and the heartbeat that notices it. Who hangs may do it afterwards.
func (c *checks) latest(s *frontendService, i *issue) time.Time {
	due := i.at.Add(deadline)
	if s.p.hangs.After(due) {
		due = s.p.hangs
	}
	return due.Add(2 * heartbeat)
}

// doubled notes the tickets of a message that arrives twice. If one asks to stage
// a batch, it may be staged and refused in the same attempt: the promise of FAILED
// holds because NATS doubles no message.
func (c *checks) doubled(data []byte) {
	m, err := messages.Decode(data)
	if err != nil {
		return
	}
	if stage, is := m.(messages.Stage); is {
		for i := range stage.Batches {
			b := &stage.Batches[i]
			n := c.issues[ticket{laneKey{stage.Epoch, b.Lane}, b.Number}]
			n.doubled = true
			c.unsure[lifeKey{b.Sequence.ProducerID, b.Sequence.ProducerEpoch, recordKey{n.key.client, n.key.first}}] = true
		}
	}
}

// promised notes and checks the promise that a batch is not in the log. A sequence
// that is refused may yet be taken by the next owner: it is then its turn, and the
// producer's retry is answered with its offset.
func (c *checks) promised(i *issue, code protocol.Code) {
	switch {
	case code == protocol.CodeFailed && !i.doubled,
		code == protocol.CodeNotCommitted && i.plain,
		code == protocol.CodeOverloaded && i.plain,
		code == protocol.CodeWrongLastSequence && i.plain,
		code == protocol.CodeWrongLastID && i.plain:
		if i.logged {
			c.w.violated("I3: %s is answered %s, and is in the log", i.ticket, describe.Code(code))
		}
		i.never = &code
	}
}

// promptly is how long a batch takes at most where nothing disturbs its lane.
const promptly = 600 * time.Millisecond

// settling is how long what faults have begun may last: who hangs, and what others
// have to do once it goes on.
const settling = longestHang + 2*time.Second

// undisturbed checks what mixes promise in which only some things go wrong.
func (c *checks) undisturbed(i *issue, a frontend.Answer) {
	m := &c.w.config.Mix
	unresolved := a.Error != nil && (a.Error.Code == protocol.CodeOutcomeUnknown || a.Error.Code == protocol.CodeFailed)
	if m.Repairs && unresolved {
		c.w.violated("I3: %s is given up, though only messages were lost: %v", i.ticket, a.Error)
	}
	// Who has an epoch that is too low learns it from the first ticket.
	learns := m.EpochsLost > 0 && i.epoch < c.frontend
	if c.w.calm && i.at.Sub(c.w.calmSince) > settling && unresolved && !learns {
		c.w.violated("I3: %s is given up, long after all faults have ended: %v", i.ticket, a.Error)
	}
	if took := c.w.now.Sub(i.at); m.OneLane && i.key.client != c.w.slowLane && (unresolved || took > promptly) {
		c.w.violated("I5: %s takes %s (%s), though only client %d is slow", i.ticket, took, outcome(a), c.w.slowLane)
	}
}

// abandoned checks that a frontend which has taken another epoch has answered all tickets
// of the old one, and all requests of the turn in which it was fenced.
func (c *checks) abandoned(s *frontendService, epoch uint64, events []frontend.Event) {
	for _, cl := range c.w.clients {
		if open := c.open[laneKey{epoch, cl.key}]; len(open) > 0 {
			c.w.violated("I3: %s has given up its epoch, and has not answered %s", s.p, open[0].ticket)
		}
	}
	for _, e := range events {
		if p, is := e.(frontend.Produce); is && !p.Request.(*request).heard {
			c.w.violated("I3: %s has given up its epoch, and has not answered %s", s.p, p.Request)
		}
	}
}

// overdue checks that a frontend which lives leaves no ticket without an answer,
// and keeps none that has one.
func (c *checks) overdue(s *frontendService) {
	outstanding := 0
	for _, cl := range c.w.clients {
		open := c.open[laneKey{s.epoch, cl.key}]
		outstanding += len(open)
		if len(open) > 0 && c.w.now.After(c.latest(s, open[0])) {
			c.w.violated("I3: %s is not answered by %s", open[0].ticket, s.p)
		}
	}
	if kept := s.core.Stats().Outstanding; kept != outstanding {
		c.w.violated("memory: %s keeps %d tickets, %d are open", s.p, kept, outstanding)
	}
}
