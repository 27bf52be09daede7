package exhaustive

import "laneway.dev/test/sim/world"

// choice is something that may happen next. What at and to are depends on what.
type choice struct {
	what   what
	at, to int
}

type what uint8

const (
	arrive     what = iota // what is first in queue at arrives
	lose                   // it is lost
	uploadEnds             // upload at ends
	loseUpload             // its result is lost
	works                  // replicator at takes the next step with the log
	lateLands              // late append at lands
	reconnects             // client at notices the disturbance

	// What follows does not happen by itself.

	double       // process at gets once more what it had already: the message to
	doubleUpload // the result of ended upload at comes once more
	losesAppend
	losesAck
	delaysAppend
	sends // client at sends to process to
	losesRequest
	disturbs // the victim's role
	beats
)

// choices appends everything that may happen next, in a fixed order. final reports
// that none of it happens by itself: only faults, requests and heartbeats are left.
func (s *schedule) choices(all []choice) (_ []choice, final bool) {
	all = s.ownChoices(all)
	final = len(all) == 0
	if s.left.lose > 0 {
		all = s.losses(all)
	}
	if s.left.double > 0 {
		all = s.doubles(all)
	}
	all = s.logFaults(all)
	all = s.requests(all)
	if s.left.disturb > 0 {
		all = append(all, choice{disturbs, 0, 0})
	}
	if s.left.beats > 0 {
		all = append(all, choice{beats, 0, 0})
	}
	return all, final
}

// ownChoices adds what happens by itself.
func (s *schedule) ownChoices(all []choice) []choice {
	for i := range s.queues {
		all = append(all, choice{arrive, i, 0})
	}
	for i, u := range s.uploads {
		if i == 0 || u != s.uploads[i-1] { // else the same again
			all = append(all, choice{uploadEnds, i, 0})
		}
	}
	for i := range s.late {
		all = append(all, choice{lateLands, i, 0})
	}
	for i := range s.sides {
		if s.sides[i].busy() {
			all = append(all, choice{works, i + 1, 0})
		}
	}
	for i := range s.senders {
		if s.senders[i].broken {
			all = append(all, choice{reconnects, i, 0})
		}
	}
	return all
}

// losses adds what may be lost on its way.
func (s *schedule) losses(all []choice) []choice {
	for i := range s.queues {
		all = append(all, choice{lose, i, 0})
	}
	for i, u := range s.uploads {
		if i == 0 || u != s.uploads[i-1] {
			all = append(all, choice{loseUpload, i, 0})
		}
	}
	return all
}

// doubles adds what may come a second time.
func (s *schedule) doubles(all []choice) []choice {
	for i := range s.sides {
		for n := range s.sides[i].had {
			all = append(all, choice{double, i + 1, n})
		}
	}
	for i := range s.ended {
		all = append(all, choice{doubleUpload, i, 0})
	}
	return all
}

// logFaults adds what may go wrong between replicators and the log.
func (s *schedule) logFaults(all []choice) []choice {
	for i := range s.sides {
		d := &s.sides[i]
		if s.left.lose > 0 && (d.append != nil || d.acked != 0) {
			all = append(all, choice{losesAppend, i + 1, 0})
		}
		if s.left.lose > 0 && d.append != nil && s.alone() {
			all = append(all, choice{losesAck, i + 1, 0})
		}
		if s.left.late > 0 && d.append != nil {
			all = append(all, choice{delaysAppend, i + 1, 0})
		}
	}
	return all
}

// requests adds what clients may send.
func (s *schedule) requests(all []choice) []choice {
	for i := range s.Clients {
		if s.sends == 0 || !s.wants(i) {
			continue
		}
		for _, p := range s.Processes {
			if p.Role == world.Frontend && p.Shares[0].Ready {
				all = append(all, choice{sends, i, p.Number})
			}
		}
		if s.left.lose > 0 {
			all = append(all, choice{losesRequest, i, 0})
		}
	}
	return all
}
