package exhaustive

import (
	"bytes"
	"slices"

	replicator "laneway.dev/services/replicator/core"
	"laneway.dev/test/sim/describe"
	"laneway.dev/test/sim/world"
)

// do lets something happen.
func (s *schedule) do(c choice) {
	switch c.what {
	case arrive, lose:
		s.doQueue(c)
	case uploadEnds, loseUpload:
		s.doUpload(c)
	case works:
		s.work(s.process(c.at))
	case lateLands:
		a := s.late[c.at]
		s.late = slices.Delete(s.late, c.at, c.at+1)
		s.Say("a late append arrives")
		s.land(a)
	case reconnects:
		s.reconnect(c.at)
	case sends:
		if s.produce(c.at, s.process(c.to)) {
			s.sends--
		}
	case beats:
		s.left.beats--
		for i := range s.senders {
			s.senders[i].flying = 0 // attempts may time out
		}
		s.beat()
	default:
		s.fail(c)
	}
}

// fail lets something go wrong.
func (s *schedule) fail(c choice) {
	switch c.what {
	case double:
		m := s.sides[c.at-1].had[c.to]
		s.spendDouble()
		s.Deliver(s.process(c.at), m)
	case doubleUpload:
		m := s.ended[c.at]
		s.spendDouble()
		s.staged(m)
	case losesAppend:
		s.left.lose--
		s.loseAppend(s.process(c.at))
	case losesAck:
		s.left.lose--
		s.loseAck(s.process(c.at))
	case delaysAppend:
		s.left.late--
		s.delayAppend(s.process(c.at))
	case losesRequest:
		if s.produce(c.at, nil) { // and its sender notices, sooner or later
			s.sends--
			s.left.lose--
		}
	case disturbs:
		s.disturb()
	default:
		panic("this cannot be chosen")
	}
}

// beat lets a heartbeat pass.
func (s *schedule) beat() {
	s.beats++
	s.Now = s.Now.Add(heartbeat)
	s.Say("a heartbeat passes")
	for _, p := range s.Processes {
		s.Tick(p)
	}
}

// doQueue takes the first item of a queue.
func (s *schedule) doQueue(c choice) {
	q := s.queues[c.at]
	first := q.items[0]
	if len(q.items) == 1 {
		s.queues = slices.Delete(s.queues, c.at, c.at+1)
	} else {
		s.queues[c.at].items = q.items[1:]
	}
	switch {
	case c.what == lose:
		s.lost(q.to, first)
		s.left.lose--
	case q.to < 0:
		s.hear(first.answer.answer)
	default:
		if d := &s.sides[q.to-1]; s.left.double > 0 {
			d.had = remember(d.had, first.message)
		}
		s.Deliver(s.process(q.to), first.message)
	}
}

// lost writes what is lost on its way to a process or, below 0, a client.
func (s *schedule) lost(to int, i item) {
	switch {
	case s.trace == nil:
	case to < 0:
		s.Say("lost: an answer to client %d", -1-to)
	default:
		s.Say("lost: to %s, %s", s.process(to), describe.Message(i.message.Decode()))
	}
}

// doUpload ends an upload.
func (s *schedule) doUpload(c choice) {
	m := s.uploads[c.at]
	s.uploads = slices.Delete(s.uploads, c.at, c.at+1)
	if c.what == loseUpload {
		if s.trace != nil {
			s.Say("lost: %s", describe.Message(m.Decode()))
		}
		s.left.lose--
		return
	}
	if s.left.double > 0 {
		s.ended = remember(s.ended, m)
	}
	if stored, is := s.memo.stored[m]; is {
		s.World.See(0, stored)
	}
	s.staged(m)
}

// staged sends the result of an upload that has ended to every sequencer, or that of a job to
// every replicator.
func (s *schedule) staged(m *world.Message) {
	to := world.Replicator
	if _, is := s.memo.stored[m]; is {
		to = world.Sequencer
	}
	for _, p := range s.Processes {
		if p.Role == to {
			s.Deliver(p, m)
		}
	}
}

// remember returns messages with one that may come a second time.
func remember(all []*world.Message, m *world.Message) []*world.Message {
	if slices.Contains(all, m) {
		return all
	}
	return insert(all, m)
}

// insert returns messages with another one. Their order has no meaning.
func insert(all []*world.Message, m *world.Message) []*world.Message {
	at, _ := slices.BinarySearchFunc(all, m, func(a, b *world.Message) int { return bytes.Compare(a.Data, b.Data) })
	return slices.Insert(slices.Clip(all), at, m)
}

// spendDouble records that something arrives a second time. If nothing more may, it drops
// what was kept for that.
func (s *schedule) spendDouble() {
	s.Say("for a second time:")
	if s.left.double--; s.left.double > 0 {
		return
	}
	s.ended = nil
	for i := range s.sides {
		s.sides[i].had = nil
	}
}

// disturb ends the owner of the victim's role, or lets it continue beside another one.
func (s *schedule) disturb() {
	s.left.disturb--
	if !s.scope.Zombie {
		s.Die(s.Living(s.scope.Victim)[0], "it crashes")
	}
	s.start(s.scope.Victim)
	if s.scope.Victim == world.Frontend {
		for i := range s.senders {
			s.senders[i].broken = s.Instances[i].Window != nil
		}
	}
}

// land lets an append reach the log.
func (s *schedule) land(a *appending) (sequence uint64, landed bool) {
	return s.AppendTo(s.only(), a.by, a.Expected, a.Data)
}

// work takes the next step of what a replicator has under way with the log.
func (s *schedule) work(p *world.Process) {
	side := s.side(p)
	d := *side
	side.append, side.read, side.acked, side.failed = nil, replicator.Read{}, 0, false
	switch {
	case d.append != nil:
		sequence, landed := s.land(d.append)
		side.acked, side.failed = sequence, !landed
		if s.alone() {
			s.work(p) // nothing can come in between
		}
	case d.read.Limit > 0:
		s.Result(p, s.only(), s.log().Read(d.read))
	case d.acked != 0:
		s.Say("%s gets the acknowledgement of entry %d", p, d.acked)
		s.Result(p, s.only(), replicator.Appended{Sequence: d.acked})
	case d.failed:
		s.Say("the append of %s has failed", p)
		s.Result(p, s.only(), replicator.AppendFailed{Moved: true})
	}
}

// alone reports whether the log has no second writer, and will get none. It then makes no
// difference when an append lands, as long as that is before its acknowledgement.
func (s *schedule) alone() bool {
	if s.left.late > 0 || len(s.late) > 0 || s.scope.Victim == world.Replicator && s.left.disturb > 0 {
		return false
	}
	return len(s.Living(world.Replicator)) == 1
}

// loseAck lets an append land, and loses its acknowledgement.
func (s *schedule) loseAck(p *world.Process) {
	s.land(s.side(p).append)
	s.failAppend(p, "the acknowledgement for %s is lost")
}

// loseAppend loses an append, or the acknowledgement of one; the replicator waits no longer.
func (s *schedule) loseAppend(p *world.Process) {
	s.failAppend(p, "an append of %s or its acknowledgement is lost")
}

// delayAppend gives up an append that may still land.
func (s *schedule) delayAppend(p *world.Process) {
	s.late = append(slices.Clip(s.late), s.side(p).append)
	s.failAppend(p, "%s gives up an append that is late")
}

func (s *schedule) failAppend(p *world.Process, what string) {
	side := s.side(p)
	side.append, side.acked = nil, 0
	s.Say(what, p)
	s.Result(p, s.only(), replicator.AppendFailed{})
}
