package exhaustive

import (
	"slices"

	"laneway.dev/test/sim/check"
	"laneway.dev/test/sim/world"
)

// drainServices completes what is under way, or a part of it, and reports whether
// anything was. Its callers repeat it until it returns false.
func (s *schedule) drainServices() bool {
	some := false
	for i := range s.sides {
		if s.sides[i].busy() {
			some = true
			s.work(s.Processes[i])
		}
	}
	for len(s.late) > 0 {
		some = true
		s.do(choice{lateLands, 0, 0})
	}
	for len(s.uploads) > 0 {
		some = true
		s.do(choice{uploadEnds, 0, 0})
	}
	for n := len(s.queues); n > 0 && len(s.queues) > 0; n-- {
		some = true
		s.do(choice{arrive, 0, 0})
	}
	return some
}

// resolve ends all faults, lets time pass, and checks that everything resolves. It
// returns early when known reports that the world was explored before. known may be
// nil.
func (s *schedule) resolve(known func(*schedule) bool) {
	const enough = 150 // heartbeats
	s.calm, s.left = true, budget{}
	s.Say("faults end")
	s.World.See(check.All, check.Calm{})
	for n := 0; n < enough && s.Violation == nil; n++ {
		s.drain()
		if s.finished() {
			break
		}
		if known != nil && known(s) {
			return
		}
		s.beat()
	}
	if s.Violation == nil {
		s.Finished(func(c *world.Client) bool { return !c.Plain && !s.Done(c) })
		s.Left(false)
	}
}

// drain lets everything happen that does not wait for time.
func (s *schedule) drain() {
	for some := true; some && s.Violation == nil; {
		some = s.drainServices()
		for n := range s.Clients {
			some = s.sendAll(n) || some
		}
	}
}

// sendAll lets a client send what it wants to send.
func (s *schedule) sendAll(n int) bool {
	if s.senders[n].broken {
		s.reconnect(n)
	}
	all := s.Living(world.Frontend)
	to := all[len(all)-1]
	if !to.Shares[0].Ready {
		return false
	}
	some := false
	for s.Violation == nil && s.produce(n, to) {
		some = true
	}
	return some
}

// finished reports whether nothing is left to be done.
func (s *schedule) finished() bool {
	return !slices.ContainsFunc(s.Clients, func(c *world.Client) bool { return !c.Plain && !s.Done(c) }) &&
		!slices.ContainsFunc(s.Processes, func(p *world.Process) bool { return p.Role != world.Replicator && p.Stats.Open > 0 })
}
