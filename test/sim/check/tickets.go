package check

import (
	"cmp"
	"slices"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/test/sim/describe"
)

// issue is a ticket that a frontend has issued. The fields below answered are zero once it
// is answered.
type issue struct {
	batch  Batch
	plain  bool
	never  string // the promise that the batch is not in the log and never will be; empty is none
	logged bool
	offset int64
	expect messages.Expectation

	answered  bool
	at        time.Time
	messageID string
	refused   bool // by a replicator
	doubled   bool // a request to stage it has arrived twice
	last      attempt
}

// Issued is a batch that a frontend asks to be staged, for the first time or again.
type Issued struct {
	By         string
	Ticket     Ticket
	Batch      Batch
	MessageID  string
	Expect     messages.Expectation
	Idempotent bool
	Attempt    uint32
	Stager     string // to which it is sent; empty is any
}

func (n Issued) look(s *State) {
	if n.Attempt > 1 {
		s.counts.Restaged++
		s.stagedAgain(n)
		return
	}
	if _, known := s.issues[n.Ticket]; known {
		s.violated("I1: %s is issued twice by %s", n.Ticket, n.By)
	}
	if n.Stager != "" {
		s.violated("staging: %s sends the first attempt of %s to %s, and not to any stager", n.By, n.Ticket, n.Stager)
	}
	s.counts.Issued++
	i := issue{at: s.now, batch: n.Batch, messageID: n.MessageID, expect: n.Expect, plain: !n.Idempotent}
	i.last = attempt{number: n.Attempt, heard: s.now}
	s.issues.put(s, n.Ticket, i)
	s.open.put(s, n.Ticket.LaneKey, append(slices.Clip(s.open[n.Ticket.LaneKey]), n.Ticket.Number))
}

// Doubled is a request to stage that arrives twice. The batch may then be both staged and
// refused in the same attempt, so FAILED does not promise that it is absent. NATS itself
// delivers no message twice.
type Doubled struct {
	Ticket   Ticket
	Sequence messages.Sequence
}

func (d Doubled) look(s *State) {
	i := s.issues[d.Ticket]
	s.unsure.put(s, life{d.Sequence.ProducerID, d.Sequence.ProducerEpoch, Record{i.batch.Client, i.batch.First}}, true)
	i.doubled = true
	s.issues.put(s, d.Ticket, i)
}

// Turn is a batch of a release that a sequencer sends.
type Turn struct {
	By     string
	Ticket Ticket
}

// look checks that a sequencer skips nothing that is not resolved.
func (r Turn) look(s *State) {
	open := s.open[r.Ticket.LaneKey]
	for _, number := range open {
		if number < r.Ticket.Number && !slices.Contains(s.turns[Ticket{r.Ticket.LaneKey, number}], r.By) {
			s.violated("I2: %s releases %s, and skips %d", r.By, r.Ticket, number)
		}
	}
	if by := s.turns[r.Ticket]; slices.Contains(open, r.Ticket.Number) && !slices.Contains(by, r.By) {
		s.turns.put(s, r.Ticket, append(slices.Clip(by), r.By))
	}
}

// Answered is the answer to a ticket that leaves a frontend.
type Answered struct {
	By        string
	Ticket    Ticket
	Code      protocol.Code
	Detail    string
	Offset    int64
	Duplicate bool
	Stalled   time.Time // until when the frontend hangs or has hung; zero is not at all
	// LastTurn means that the frontend was fenced and ends its epoch. It then also answers
	// tickets that it issued in the turn in which it was fenced, and those were never sent
	// anywhere.
	LastTurn bool
}

// look checks that answers of a lane leave once, in ticket order, in time.
func (a Answered) look(s *State) {
	t := a.Ticket
	i, known := s.issues[t]
	if !known && a.LastTurn {
		return
	}
	if !known || i.answered {
		s.violated("I3: %s answers %s, which is not open", a.By, t)
		return
	}
	if t.Number <= s.lastAnswer[t.LaneKey] {
		s.violated("I4: %s is answered after %d", t, s.lastAnswer[t.LaneKey])
	}
	if latest := s.latest(i, a.Stalled); s.now.After(latest) {
		s.violated("I3: %s is answered %s too late", t, s.now.Sub(latest))
	}
	if a.Code != protocol.CodeOK {
		s.refused(a.Code)
		s.promised(t, &i, a.Code)
	} else if !a.Duplicate {
		if last, some := s.lastOffset[t.LaneKey]; some && a.Offset <= last {
			s.violated("I4: %s is answered with offset %d, the one before with %d", t, a.Offset, last)
		}
		s.lastOffset.put(s, t.LaneKey, a.Offset)
	}
	s.undisturbed(a, i)
	s.close(t, i)
}

// close keeps of an answered ticket what may still be compared with something.
func (s *State) close(t Ticket, i issue) {
	s.lastAnswer.put(s, t.LaneKey, t.Number)
	s.issues.put(s, t, issue{batch: i.batch, plain: i.plain, expect: i.expect, never: i.never, logged: i.logged, offset: i.offset, answered: true})
	open := slices.DeleteFunc(slices.Clone(s.open[t.LaneKey]), func(n uint64) bool { return n == t.Number })
	if len(open) == 0 {
		s.open.drop(s, t.LaneKey)
	} else {
		s.open.put(s, t.LaneKey, open)
	}
	s.turns.drop(s, t)
}

// latest returns the time by which a ticket must be answered: one heartbeat after its
// deadline, plus one heartbeat to notice that. If the frontend hangs beyond the deadline,
// both count from the end of the hang.
func (s *State) latest(i issue, stalled time.Time) time.Time {
	due := i.at.Add(s.limits.Deadline)
	if stalled.After(due) {
		due = stalled
	}
	return due.Add(2 * s.limits.Heartbeat)
}

// promised handles an answer that promises that the batch is not in the log, now or later.
// It reports a violation if the batch is in the log, and remembers the promise to check
// later appends.
//
// FAILED is such a promise, unless the request to stage the batch arrived twice (Doubled).
// For a batch without a producer sequence, a refusal by the replicator is one, too. With a
// sequence it is not: a later owner may accept what this one refused, and a retry then gets
// the offset.
func (s *State) promised(t Ticket, i *issue, code protocol.Code) {
	switch {
	case code == protocol.CodeFailed && !i.doubled,
		code == protocol.CodeNotCommitted && i.plain,
		code == protocol.CodeOverloaded && i.plain,
		code == protocol.CodeWrongLastSequence && i.plain,
		code == protocol.CodeWrongLastID && i.plain:
		if i.logged {
			s.violated("I3: %s is answered %s, and is in the log", t, describe.Code(code))
		}
		i.never = describe.Code(code)
	}
}

// promptly is how long a batch takes at most where nothing disturbs its lane.
const promptly = 600 * time.Millisecond

// undisturbed checks what holds where only some things go wrong.
func (s *State) undisturbed(a Answered, i issue) {
	unresolved := a.Code == protocol.CodeOutcomeUnknown || a.Code == protocol.CodeFailed
	given := protocol.Error{Code: a.Code, Detail: a.Detail}
	if s.limits.Repairs && unresolved && !a.LastTurn {
		s.violated("I3: %s is given up, though heartbeats repair what was lost: %v", a.Ticket, &given)
	}
	// A frontend whose epoch is too low learns it from the first ticket.
	learns := s.limits.LosesEpochs && a.Ticket.Epoch < s.frontend
	if !s.calm.IsZero() && i.at.Sub(s.calm) > s.limits.Settling && unresolved && !learns {
		s.violated("I3: %s is given up, long after all faults have ended: %v", a.Ticket, &given)
	}
	if took := s.now.Sub(i.at); s.limits.OneLane && i.batch.Client != s.limits.SlowClient && (unresolved || took > promptly) {
		s.violated("I5: %s takes %s (%s), though only client %d is slow", a.Ticket, took, describe.Code(a.Code), s.limits.SlowClient)
	}
}

// Abandoned means that a frontend has ended an epoch. It must have answered all tickets of
// that epoch.
type Abandoned struct {
	By    string
	Epoch uint64
}

func (a Abandoned) look(s *State) {
	for _, lane := range s.openLanes(a.Epoch) {
		s.violated("I3: %s has given up its epoch, and has not answered %s", a.By, Ticket{lane, s.open[lane][0]})
	}
}

// Outstanding is the number of tickets that a living frontend keeps. It must equal the
// number of unanswered tickets, and no unanswered ticket may be overdue.
type Outstanding struct {
	By      string
	Epoch   uint64
	Tickets int
	Stalled time.Time
}

func (o Outstanding) look(s *State) {
	open := 0
	for _, lane := range s.openLanes(o.Epoch) {
		open += len(s.open[lane])
		if t := (Ticket{lane, s.open[lane][0]}); s.now.After(s.latest(s.issues[t], o.Stalled)) {
			s.violated("I3: %s is not answered by %s", t, o.By)
		}
	}
	if o.Tickets != open {
		s.violated("memory: %s keeps %d tickets, %d are open", o.By, o.Tickets, open)
	}
}

// openLanes returns the lanes of an epoch with open tickets, in a fixed order.
func (s *State) openLanes(epoch uint64) []LaneKey {
	var lanes []LaneKey
	for lane := range s.open {
		if lane.Epoch == epoch {
			lanes = append(lanes, lane)
		}
	}
	slices.SortFunc(lanes, func(a, b LaneKey) int { return cmp.Compare(a.Lane, b.Lane) })
	return lanes
}
