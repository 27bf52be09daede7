package world

import (
	"slices"

	"laneway.dev/pkg/messages"
	replicator "laneway.dev/services/replicator/core"
	"laneway.dev/test/sim/check"
)

// step lets a process take events, and has done what it wants to have done.
func (w *World) step(p *Process, events ...Event) {
	machine, fx := p.Machine.Step(w.Clock(p), events)
	p.Machine, p.Stats = machine, fx.Stats
	p.appended(events)
	for _, seen := range fx.Seen {
		w.See(seen)
	}
	if fx.Damage != "" && p.unfounded {
		w.Say("%s calls the log damaged, because %s", p, fx.Damage)
	} else if fx.Damage != "" {
		w.Violated("damage: %s calls the log damaged, because %s", p, fx.Damage)
	}
	for i := range fx.Announced {
		if !w.Log.holds(&fx.Announced[i]) {
			w.Violated("log: %s announces an entry %d that is not the log's", p, fx.Announced[i].Sequence)
		}
	}
	for _, e := range fx.Send {
		w.send(p, e)
	}
	if fx.TakeEpoch != 0 && p.Role == Frontend {
		p.unanswered = requests(events)
	}
	w.answer(p, fx.Answers)
	p.Ready = p.Ready || fx.Ready
	for _, m := range fx.Fenced {
		w.stepInits(p, m)
	}
	for _, m := range fx.Truncated {
		w.truncated(p, m)
	}
	if w.Fetches != nil {
		for _, state := range fx.Ends {
			w.Advance(p, state)
		}
	}
	switch {
	case fx.Ended:
		w.Die(p, Replaced)
	case fx.TakeEpoch != 0:
		w.fenced(p, fx.TakeEpoch)
	default:
		w.do(p, fx)
	}
	fx.done()
}

// appended notes that an append of a replicator has ended.
func (p *Process) appended(events []Event) {
	if !p.appending {
		return
	}
	for _, e := range events {
		switch e.(type) {
		case replicator.Appended, replicator.AppendFailed:
			p.appending = false
		}
	}
}

// do has the reads and writes of a process done.
func (w *World) do(p *Process, fx *Effects) {
	s := w.scheduler
	for _, o := range fx.Uploads {
		s.Upload(p, o)
	}
	switch {
	case fx.Append != nil:
		p.appending = true
		s.Append(p, fx.Append)
	case fx.Read != nil:
		s.Read(p, *fx.Read)
	case fx.Load:
		s.Load(p)
	}
	if fx.Mark != nil {
		s.Mark(p, *fx.Mark)
	}
	if fx.Scrub {
		s.Scrub(p)
	}
	if fx.AskTime {
		s.AskTime(p)
	}
	if fx.Purge != nil {
		s.Purge(p, *fx.Purge)
	}
	for _, job := range fx.Jobs {
		s.Job(p, job)
	}
	if fx.Save != nil {
		s.Save(p, fx.Save)
	}
}

// send sends a message to the processes that listen to its subject.
func (w *World) send(from *Process, e Envelope) {
	to := w.listening[:0]
	for _, p := range w.Processes {
		if !p.Dead && p.listens(e.Subject) {
			to = append(to, p)
		}
	}
	w.listening = to
	if len(to) > 0 && to[0].Role == Frontend && from.excused && isReadOnly(e.Message) {
		return // it would end the run: producers fail for good, until an operator has restored the snapshots
	}
	w.scheduler.Send(from, to, e.Message)
}

func isReadOnly(m *Message) bool {
	_, is := m.Decode().(messages.ReadOnly)
	return is
}

func (p *Process) listens(subject string) bool {
	switch p.Role {
	case Stager:
		return subject == messages.StageSubject || subject == messages.StagerSubject(p.Name)
	case Sequencer:
		return subject == sequencerSubject
	case Replicator:
		return subject == replicatorSubject
	case Archiver:
		return subject == messages.ArchiveSubject
	default:
		return subject == committedSubject || subject == messages.FrontendSubject(p.Epoch) ||
			slices.ContainsFunc(p.Earlier, func(epoch uint64) bool { return subject == messages.FrontendSubject(epoch) })
	}
}

// answer checks the answers of a frontend, and sends them to their clients.
func (w *World) answer(p *Process, answers []Answer) {
	for _, a := range answers {
		if a.Ticket.Number > 0 {
			w.See(check.Answered{
				By: p.Name, Ticket: a.Ticket, Code: a.Code, Detail: a.Detail, Offset: a.Offset, Duplicate: a.Duplicate,
				Stalled: p.Hangs, LastTurn: p.renewing,
			})
		}
		if p.unanswered != nil {
			p.unanswered = slices.DeleteFunc(p.unanswered, func(r Request) bool { return r == a.Request })
		}
		w.scheduler.Reply(p, a)
	}
}

// requests returns the requests of clients among events.
func requests(events []Event) []Request {
	var all []Request
	for _, e := range events {
		if r, is := e.(Request); is {
			all = append(all, r)
		}
	}
	return all
}
