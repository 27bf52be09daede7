package random

import (
	"fmt"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/frontend/core/stagerwatch"
	"laneway.dev/test/sim/check"
	"laneway.dev/test/sim/world"
)

// link is the connection from one process to another, by their numbers. The link from client n
// to the frontends is from -1-n.
type link struct{ from, to int }

// Send implements world.Scheduler.
func (r *run) Send(from *world.Process, to []*world.Process, m *world.Message) {
	r.trace.sent(r.elapsed(), m)
	if len(to) > 1 && to[0].Role == world.Stager {
		r.carry(from, pick(r, to), m)
		return
	}
	if r.Archive != nil && r.sendArchive(from, to, m) {
		return
	}
	for _, p := range to {
		r.carry(from, p, m)
	}
}

// Announce implements world.Scheduler. A lost announcement is no fault that a run needs, and
// does not use up what a mix with few losses may lose.
func (r *run) Announce(stager *world.Process, to []*world.Process) {
	for _, p := range to {
		way := link{stager.Number, p.Number}
		if r.cut(way) || r.fault(r.config.Mix.Lose) {
			r.counts.AnnouncementsLost++
			r.Say("  ! the announcement of %s to %s is lost", stager, p)
			continue
		}
		r.onWay(way, r.latency(), r.config.Mix.Unordered, func() { r.Deliver(p, stagerwatch.Alive{Name: stager.Name}) })
	}
}

// carry delivers a message to a process: perhaps late, twice or not at all. Messages on one
// link stay in order, as in NATS, unless the mix says otherwise.
func (r *run) carry(from, to *world.Process, m *world.Message) {
	way := link{from.Number, to.Number}
	if r.cut(way) || r.loses() {
		r.counts.Lost++
		r.meets("lost", from, to, m)
		return
	}
	copies := 1
	if r.fault(r.config.Mix.Double) {
		copies = 2
		r.counts.Doubled++
		r.doubled(m)
		r.meets("comes twice", from, to, m)
	}
	for range copies {
		takes := r.latency()
		if takes >= late {
			r.meets(fmt.Sprintf("late by %s", takes.Round(time.Millisecond)), from, to, m)
		}
		r.onWay(way, takes, r.config.Mix.Unordered, func() {
			r.trace.arrived(r.elapsed(), m)
			r.arrives(to, m)
		})
	}
}

// onWay plans an arrival. It is not before the arrival of an earlier message on the same link,
// unless messages may overtake each other.
func (r *run) onWay(way link, takes time.Duration, unordered bool, arrives func()) {
	at := r.elapsed() + takes
	if !unordered {
		at = max(at, r.links[way])
	}
	r.links[way] = at
	r.agenda.push(at, arrives)
}

// doubled shows to the checks a message that arrives twice.
func (r *run) doubled(m *world.Message) {
	m.Each(func(m messages.Message) {
		stage, is := m.(messages.Stage)
		if !is {
			return
		}
		for i := range stage.Batches {
			b := &stage.Batches[i]
			r.World.See(r.PartitionOf(stage.Partition).Index, check.Doubled{Ticket: check.TicketOf(stage.Epoch, b.Ticket), Sequence: b.Sequence})
		}
	})
}

// loses draws whether a message between services is lost.
func (r *run) loses() bool {
	if !r.fault(r.config.Mix.Lose) {
		return false
	}
	if r.config.Mix.Repairs {
		if r.Now.Sub(r.losses[0]) < deadline {
			return false
		}
		r.losses[0], r.losses[1] = r.losses[1], r.Now
	}
	return true
}

// late is how long a message is on its way at least that is late.
const late = 50 * time.Millisecond

// latency draws how long a message is on its way.
func (r *run) latency() time.Duration {
	if r.fault(r.config.Mix.Late) {
		r.counts.Late++
		return r.between(late, 1500*time.Millisecond)
	}
	return r.between(200*time.Microsecond, 4*time.Millisecond)
}

func (r *run) cut(way link) bool { return !r.calm && r.Now.Before(r.cuts[way]) }

// request delivers a request to any frontend that admits requests. The requests of one client
// stay in order.
func (r *run) request(i *world.Instance, q world.Request) {
	if r.fault(r.config.Mix.Lose) {
		r.counts.Lost++
		r.Say("  ! lost: %s: %s", i, q)
		return
	}
	r.onWay(link{from: -1 - i.Client}, r.latency(), false, func() {
		var takers []*world.Process
		for _, p := range r.Living(world.Frontend) {
			if p.Shares[q.Partition].Ready {
				takers = append(takers, p)
			}
		}
		if len(takers) == 0 {
			r.Reply(nil, world.Answer{Request: q, Code: protocol.CodeUnavailable, Detail: "no responders"})
			return
		}
		p := pick(r, takers)
		if r.fault(r.config.Mix.RefuseAdmission) {
			r.counts.AdmissionRefused++
			r.Say("  ! %s has no room for %s: %s", p, i, q)
			r.Reply(p, world.Answer{Request: q, Code: protocol.CodeOverloaded, Detail: "simulated"})
			return
		}
		r.arrives(p, q)
	})
}

// Reply implements world.Scheduler: it brings an answer to the client, or loses it.
func (r *run) Reply(_ *world.Process, a world.Answer) {
	r.trace.answered(r.elapsed(), r.Partitions[a.Partition].ID, &a)
	i := r.Instances[a.Instance]
	if r.fault(r.config.Mix.Lose) {
		r.counts.Lost++
		r.Say("  ! lost: the answer to %s: %s", i, a.Request)
		return
	}
	r.after(r.latency(), func() {
		if i.Dead {
			return
		}
		acked, c := a.Code == protocol.CodeOK, r.clients[i.Client]
		r.Hear(a)
		if acked && a.Duplicate {
			r.counts.Duplicates++
		}
		switch {
		case c.Plain:
			r.plainEnded(c, i, a.Request, acked)
		case !r.failed(i):
			r.step(c, i)
		}
	})
}
