package exhaustive

import (
	"cmp"
	"fmt"
	"time"

	"laneway.dev/pkg/messages"
	frontend "laneway.dev/services/frontend/core"
	replicator "laneway.dev/services/replicator/core"
	sequencer "laneway.dev/services/sequencer/core"
)

// effects is what a machine wants to have done.
type effects struct {
	send     []parcel
	uploads  []upload
	released []ticket
	answers  []answered
	ready    bool   // requests are admitted from now on
	fenced   uint64 // an owner of this epoch exists
	ended    bool   // the core has, because it was replaced
	damage   string // the log is called damaged
	load     bool
	append   *appending
	read     replicator.Read
	open     int // tickets of a frontend, lanes of a sequencer
	givenUp  int // tickets, in this step
	sent     *produce
	acked    int // all batches before it are acknowledged; 0 is nothing new
	failed   error
}

// parcel is a message with its subject.
type parcel struct {
	subject string
	letter  *letter
}

// upload is one that begins, with its result.
type upload struct {
	ticket
	staged *letter
}

// answered is an answer of a frontend.
type answered struct {
	ticket
	answer answer
}

// What machines are told, besides letters and what comes from the log.
type (
	produce struct {
		request
		sequence     messages.Sequence
		firstUnacked int32
	}
	noSnapshots struct{}
)

// frontendMachine keeps what its core last counted: of the core's own statistics the
// walker takes no notice.
type frontendMachine struct {
	core *frontend.Core
	open int
}

func (f *frontendMachine) step(m *memo, now time.Time, what any) *effects {
	before := f.core.Stats().GivenUp
	var fx frontend.Effects
	switch e := what.(type) {
	case nil:
		fx = f.core.Step(now, nil)
	case frontend.EpochTaken, frontend.Ending:
		fx = f.core.Step(now, []frontend.Event{e})
	case produce:
		fx = f.core.Step(now, []frontend.Event{e.produce()})
	case *letter:
		fx = f.core.Step(now, []frontend.Event{forFrontend(e)})
	}
	out := m.sending(fx.Send)
	for i := range fx.Answers {
		out.answers = append(out.answers, answeredBy(&fx.Answers[i]))
	}
	out.ready, out.fenced = fx.Ready, fx.TakeEpoch
	stats := f.core.Stats()
	f.open = stats.Outstanding
	out.open, out.givenUp = f.open, int(stats.GivenUp-before)
	return out
}

// forFrontend returns what a frontend's shell makes of a message.
func forFrontend(l *letter) frontend.Event {
	message := l.message()
	c, is := message.(messages.Committed)
	if !is {
		return message
	}
	return frontend.CommittedEntry{Partition: partition, Entry: decodeEntry(c.Entry)}
}

func answeredBy(a *frontend.Answer) answered {
	out := answer{request: a.Request.(request), offset: a.Offset}
	if a.Error != nil {
		out.code = a.Error.Code
	}
	return answered{ticket{laneKey{a.Epoch, a.Lane}, a.Number}, out}
}

// sequencerMachine does the same. Its core counts only now and then.
type sequencerMachine struct {
	core *sequencer.Core
	open int
}

func (s *sequencerMachine) step(m *memo, now time.Time, what any) *effects {
	var events []sequencer.Event
	switch e := what.(type) {
	case nil:
	case *letter:
		events = append(events, e.message())
	default:
		events = append(events, e) // its own
	}
	fx := s.core.Step(now, events)
	out := m.sending(fx.Send)
	out.fenced, out.ended = fx.TakeEpoch, fx.Ended
	s.open = s.core.Stats().Lanes
	out.open = s.open
	return out
}

type replicatorMachine struct{ core *replicator.Core }

func (r replicatorMachine) step(m *memo, now time.Time, what any) *effects {
	var events []replicator.Event
	switch e := what.(type) {
	case nil:
	case *letter:
		events = append(events, e.message())
	case noSnapshots:
		events = append(events, replicator.Loaded{})
	case reading:
		events = append(events, e.entries())
	default:
		events = append(events, e) // of its own
	}
	fx := r.core.Step(now, events)
	sent := fx.Send
	for fx.Mark != nil { // it is written at once: what marks are for is not explored
		next := r.core.Step(now, []replicator.Event{replicator.MarkWritten{Mark: fx.Mark.Mark, Revision: fx.Mark.Revision + 1}})
		next.Append, next.Read = cmp.Or(next.Append, fx.Append), cmp.Or(next.Read, fx.Read)
		sent = append(sent, next.Send...)
		fx = next
	}
	out := m.sending(sent)
	out.damage = fx.Damage
	out.fenced, out.ended, out.load = fx.TakeEpoch, fx.Ended != nil, fx.Load
	if fx.Append != nil {
		out.append = m.appending(fx.Append.Expected, string(fx.Append.Data))
	}
	if fx.Read != nil {
		out.read = *fx.Read
		out.read.After = 0 // the explorer says when
	}
	return out
}

// sending notes what is sent, in its wire form. A stage request is the uploads that it
// begins, each on its own.
func (m *memo) sending(envelopes []messages.Envelope) *effects {
	fx := &effects{}
	for _, e := range envelopes {
		if s, is := e.Message.(messages.Stage); is {
			fx.uploads = append(fx.uploads, m.uploads(s)...)
			continue
		}
		if r, is := e.Message.(messages.Release); is {
			for i := range r.Batches {
				fx.released = append(fx.released, ticket{laneKey{r.Epoch, r.Batches[i].Lane}, r.Batches[i].Number})
			}
		}
		fx.send = append(fx.send, parcel{e.Subject, m.letter(e.Message)})
	}
	return fx
}

func (m *memo) uploads(s messages.Stage) []upload {
	var all []upload
	for i := range s.Batches {
		b := &s.Batches[i]
		staged := messages.Staged{
			Partition: partition, Epoch: s.Epoch, Batches: []messages.StagedBatch{{
				Submission: b.Submission,
				Extent:     messages.Extent{Key: string(b.Payload)},
			}},
		}
		all = append(all, upload{ticket{laneKey{s.Epoch, b.Lane}, b.Number}, m.letter(staged)})
	}
	return all
}

func decodeEntry(data []byte) messages.Entry {
	entry, err := messages.DecodeEntry(data)
	if err != nil {
		panic(fmt.Sprint("an entry cannot be read: ", err))
	}
	return entry
}
