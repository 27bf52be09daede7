package check

import (
	"cmp"
	"slices"
	"time"
)

// Two rules together promise that a slow store does not cause a second upload. A stager
// reports what it holds often enough (Turned). And a frontend stages a batch again only if a
// stager has refused the last attempt, or if the frontend has heard nothing of it for
// StageTimeout: neither when it sent the attempt nor by a report that has arrived since
// (stagedAgain). What is lost or late on the way between the two is no exception from either
// rule.
//
// A third rule says which stager gets such a batch (readdressed).

// attempt is the last attempt to stage a batch, as far as its frontend knows.
type attempt struct {
	number  uint32
	stager  string    // that has it; empty if that is unknown
	heard   time.Time // when it was sent, or last reported
	refused bool
}

// stagedAgain checks when a batch is staged again, and by which stager.
func (s *State) stagedAgain(n Issued) {
	i := s.issues[n.Ticket]
	if silent := s.now.Sub(i.last.heard); !i.last.refused && silent < s.limits.StageTimeout {
		s.violated("staging: %s stages %s again %s after it was last heard of", n.By, n.Ticket, silent)
	}
	s.readdressed(n, i.last.stager)
	i.last = attempt{number: n.Attempt, stager: n.Stager, heard: s.now}
	s.issues.put(s, n.Ticket, i)
}

// readdressed checks where a batch goes that is staged again: by name to a live stager other
// than the one with the last attempt. If no other one is alive, it goes to any stager. A
// stager that is frozen is one of these.
func (s *State) readdressed(n Issued, last string) {
	switch {
	case n.Stager == "":
		if other := s.alive(n.By, last); len(other) > 0 {
			s.violated("staging: %s sends %s to any stager, though %s is alive", n.By, n.Ticket, other[0])
		}
	case n.Stager == last:
		s.violated("staging: %s sends %s again to %s, which already has it", n.By, n.Ticket, last)
	case !slices.Contains(s.alive(n.By, last), n.Stager):
		s.violated("staging: %s sends %s to %s, which is silent", n.By, n.Ticket, n.Stager)
	default:
		s.counts.RestagedByName++
	}
}

// TurnedAway is the refusal of a stager that reaches a frontend.
type TurnedAway struct {
	Ticket  Ticket
	Attempt uint32
	By      string
}

func (r TurnedAway) look(s *State) {
	if i, open := s.lastAttempt(r.Ticket, r.Attempt); open {
		i.last.stager, i.last.refused = r.By, true
		s.issues.put(s, r.Ticket, i)
	}
}

// Reported is a report that reaches a frontend: a stager holds a batch.
type Reported struct {
	Ticket  Ticket
	Attempt uint32
	By      string
}

func (r Reported) look(s *State) {
	if i, open := s.lastAttempt(r.Ticket, r.Attempt); open && !i.last.refused {
		s.counts.Reported++
		i.last.stager, i.last.heard = r.By, s.now
		s.issues.put(s, r.Ticket, i)
	}
}

// lastAttempt returns an open ticket, if this is its last attempt. What stagers say of earlier
// ones does not count: they were silent or have refused it.
func (s *State) lastAttempt(t Ticket, number uint32) (_ issue, is bool) {
	i, known := s.issues[t]
	return i, known && !i.answered && i.last.number == number
}

// hearing is a stager, from the view of a frontend.
type hearing struct{ frontend, stager string }

// Announced is the announcement of a stager that reaches a frontend.
type Announced struct{ To, Stager string }

func (a Announced) look(s *State) {
	s.announced.put(s, hearing{a.To, a.Stager}, s.rounds[a.To])
}

// Round is the end of a round of a frontend, in which the announcement of every live stager
// could have arrived. It is only seen after the first announcement.
type Round struct{ Of string }

func (r Round) look(s *State) { s.rounds.put(s, r.Of, s.rounds[r.Of]+1) }

// silentRounds are the rounds without an announcement after which a stager is not alive.
const silentRounds = 3

// alive returns the stagers that are alive for a frontend, except one.
func (s *State) alive(frontend, except string) []string {
	var all []string
	for of, round := range s.announced {
		if missed := s.rounds[frontend] - round - 1; of.frontend == frontend && of.stager != except && missed < silentRounds {
			all = append(all, of.stager)
		}
	}
	slices.Sort(all)
	return all
}

// holding is a batch at a stager.
type holding struct {
	stager string
	ticket Ticket
}

// Taken is a batch that arrives at a stager.
type Taken struct {
	By     string
	Ticket Ticket
}

func (t Taken) look(s *State) { s.held.put(s, holding{t.By, t.Ticket}, s.now) }

// Reporting is the report of a stager that it holds a batch.
type Reporting struct {
	By     string
	Ticket Ticket
}

func (r Reporting) look(s *State) {
	if of := (holding{r.By, r.Ticket}); !s.held[of].IsZero() {
		s.held.put(s, of, s.now)
	}
}

// Returned is the answer of a stager for a batch: it is staged or refused.
type Returned struct {
	By     string
	Ticket Ticket
}

func (r Returned) look(s *State) { s.held.drop(s, holding{r.By, r.Ticket}) }

// Turned is a turn that a stager takes because time has passed. A stager that does not hang takes
// one in each heartbeat. It must have reported each batch that it holds within three heartbeats
// after the batch arrived, or after the previous report of it. A report is due a heartbeat after
// the previous one, and contains the batches that arrived at least a heartbeat before it. Turns
// are a heartbeat apart, so each of these intervals takes up to two heartbeats.
type Turned struct{ By string }

func (t Turned) look(s *State) {
	var unreported []Ticket
	for of, at := range s.held {
		if of.stager == t.By && s.now.Sub(at) >= 3*s.limits.Heartbeat {
			unreported = append(unreported, of.ticket)
		}
	}
	if len(unreported) > 0 {
		first := slices.MinFunc(unreported, func(a, b Ticket) int { return cmp.Compare(a.String(), b.String()) })
		s.violated("staging: %s holds %s and has not reported it for %s", t.By, first, s.now.Sub(s.held[holding{t.By, first}]))
	}
}

// returnedAll forgets the batches of a stager that ends.
func (s *State) returnedAll(stager string) {
	for of := range s.held {
		if of.stager == stager {
			s.held.drop(s, of)
		}
	}
}
