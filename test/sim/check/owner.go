package check

import (
	"slices"
	"strconv"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/test/sim/describe"
)

// owner is what a replicator may know. When the replicator starts to read the log again,
// all of it is forgotten except the epoch of the sequencer.
type owner struct {
	sequencer uint64                // the highest epoch of which it has received a release
	reached   table[Ticket, reach]  // what was released to it and is not known to be in the log since
	fresh     []Ticket              // released since the newest append
	sent      []Ticket              // released before the newest append, and since the one before
	floors    table[LaneKey, floor] // the highest ones that it has received
}

// reach is what an owner may know of a ticket since it was first released to it.
type reach struct {
	owned bool  // an append that the owner has sent since is acknowledged
	end   int64 // where the log ended at that time, if the ticket expects an end
	open  int   // how often it was released when not known to be resolved, less how often it was refused
}

// floor is that of a lane, with the time of the newest release.
type floor struct {
	number uint64
	heard  time.Time
}

// owned returns what a replicator may know, to be changed.
func (s *State) owned(name string) *owner {
	o := s.owners[name]
	switch {
	case o == nil:
		o = &owner{reached: table[Ticket, reach]{}, floors: table[LaneKey, floor]{}}
	case s.cloned:
		c := *o
		o = &c
	default:
		return o
	}
	s.owners.put(s, name, o)
	return o
}

// Forgotten means that a replicator starts over, and reads the log again.
type Forgotten struct{ Owner string }

func (f Forgotten) look(s *State) {
	sequencer := s.owned(f.Owner).sequencer
	s.owners.drop(s, f.Owner)
	s.owned(f.Owner).sequencer = sequencer
}

// Died is the end of a process, of which nothing remains.
type Died struct{ Process string }

func (d Died) look(s *State) {
	s.owners.drop(s, d.Process)
	s.returnedAll(d.Process)
}

// Appending is an append that a replicator sends.
type Appending struct{ Owner string }

func (a Appending) look(s *State) {
	o := s.owned(a.Owner)
	o.fresh, o.sent = nil, o.fresh
}

// AppendAcked is the acknowledgement of the newest append of a replicator.
type AppendAcked struct{ Owner string }

func (a AppendAcked) look(s *State) {
	o := s.owned(a.Owner)
	for _, t := range o.sent {
		if at, known := o.reached[t]; known {
			at.owned = true
			o.reached.put(s, t, at)
		}
	}
	o.sent = nil
}

// Heard is a release that reaches a replicator which leads, before its batches. It may have none.
type Heard struct {
	Owner          string
	SequencerEpoch uint64
}

func (h Heard) look(s *State) {
	if o := s.owned(h.Owner); h.SequencerEpoch > o.sequencer {
		o.sequencer = h.SequencerEpoch
	}
}

// Released is a batch of a release that reaches a replicator which leads.
type Released struct {
	Owner          string
	SequencerEpoch uint64
	Ticket         Ticket
	Floor          uint64
}

func (r Released) look(s *State) {
	o := s.owned(r.Owner)
	stale := r.SequencerEpoch < max(o.sequencer, s.sequencer) // it is dropped, its floor too
	at, known := o.reached[r.Ticket]
	if !known {
		o.fresh = append(slices.Clip(o.fresh), r.Ticket)
		if s.issues[r.Ticket].expect.HasSequence {
			at.end = s.nextOffset
		}
	}
	if r.Ticket.Number >= s.floorOf(o, r.Ticket.LaneKey, r.Floor, stale) {
		at.open++
	}
	o.reached.put(s, r.Ticket, at)
}

// floorOf returns the highest floor of a lane that an owner certainly knows, including
// the received one unless it is stale. The owner may have forgotten a lane that was idle
// for too long, or for which it has no room.
func (s *State) floorOf(o *owner, of LaneKey, received uint64, stale bool) uint64 {
	known := o.floors[of]
	if s.now.Sub(known.heard) >= s.limits.LaneExpiry || s.limits.ForgetsLanes {
		known.number = 0
	}
	if !stale {
		known = floor{max(known.number, received), s.now}
		o.floors.put(s, of, known)
	}
	return known.number
}

// mayAppend checks that an owner appends no ticket that it knows to be resolved.
func (s *State) mayAppend(by string, t Ticket) {
	if s.owners[by] == nil {
		return
	}
	o := s.owned(by)
	if at, known := o.reached[t]; known && at.open == 0 {
		s.violated("I1: %s is added to the log; %s knew that it was resolved when it was released", t, by)
	}
	o.reached.drop(s, t)
}

// Outcome is the outcome of a ticket that a replicator sends.
type Outcome struct {
	Owner  string
	Ticket Ticket
	messages.Outcome
}

func (o Outcome) look(s *State) {
	i, known := s.issues[o.Ticket]
	if o.Code == protocol.CodeOK {
		s.owned(o.Owner).reached.drop(s, o.Ticket)
	}
	switch {
	case !known:
		s.violated("I3: %s answers %s, which was never issued", o.Owner, o.Ticket)
	case o.Code != protocol.CodeOK:
		s.rejected(o, i)
	case o.Duplicate:
		s.duplicate(o, i)
	case !i.logged || i.offset != o.Offset:
		s.violated("I6: %s answers %s with offset %d; it is in the log: %t, at %d", o.Owner, o.Ticket, o.Offset, i.logged, i.offset)
	}
}

func (s *State) duplicate(o Outcome, i issue) {
	if o.Offset >= s.newest {
		s.counts.Joined++ // the batch that it repeats was in flight with it
	}
	at, there := s.places[Record{i.batch.Client, i.batch.First}]
	switch {
	case !there:
		s.violated("I6: %s calls %s a duplicate of offset %d; none of its records is in the log", o.Owner, o.Ticket, o.Offset)
	case at != o.Offset:
		s.violated("I6: %s calls %s a duplicate of offset %d; its first record is at offset %d", o.Owner, o.Ticket, o.Offset, at)
	case i.logged:
		s.violated("I6: %s calls %s a duplicate of offset %d, which is that very ticket", o.Owner, o.Ticket, o.Offset)
	}
}

// rejected checks that only the owner of the log rejects a batch. The proof is an append
// that the replicator sent after it received the ticket, and that was acknowledged.
func (s *State) rejected(by Outcome, i issue) {
	s.counts.Rejected++
	o, t, code := s.owned(by.Owner), by.Ticket, describe.Code(by.Code)
	at, known := o.reached[t]
	if !known {
		s.violated("I8: %s rejects %s with %s, which it has not received since it read the log", by.Owner, t, code)
		return
	}
	if !at.owned {
		s.violated("I8: %s rejects %s with %s; no append that it has sent since the release is acknowledged", by.Owner, t, code)
	}
	if at.open--; at.open < 0 {
		s.violated("I3: %s rejects %s with %s; all that was released to it is answered or resolved", by.Owner, t, code)
	}
	o.reached.put(s, t, at)
	if by.Code == protocol.CodeWrongLastSequence {
		if tail, err := strconv.ParseInt(by.Detail, 10, 64); err != nil || tail < at.end || tail > s.nextOffset || uint64(tail) == i.expect.Sequence {
			s.violated("expectation: %s rejects %s, which expects %d, with %q; the log's end moved from %d to %d",
				by.Owner, t, i.expect.Sequence, by.Detail, at.end, s.nextOffset)
		}
	}
	if !i.answered {
		i.refused = true // its frontend may be gone
		s.issues.put(s, t, i)
	}
}
