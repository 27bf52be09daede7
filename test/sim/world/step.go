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
		w.See(seen.Of, seen.What)
	}
	w.claims(p, fx)
	for _, e := range fx.Send {
		w.send(p, e)
	}
	if p.Role == Frontend && (p.fenced > 0 || fx.TakeEpoch != 0) {
		p.unanswered = append(p.unanswered, requests(events)...)
	}
	w.answer(p, fx.Answers)
	for _, of := range fx.Ready {
		p.Shares[of].Ready = true
	}
	for _, m := range fx.Fenced {
		w.stepInits(p, m)
	}
	for _, m := range fx.Truncated {
		w.truncated(p, m)
	}
	if w.Fetches != nil {
		for _, end := range fx.Ends {
			w.Advance(p, w.Partitions[end.Of], end.State)
		}
	}
	w.do(p, fx)
	if fx.TakeEpoch != 0 && !p.Dead {
		p.fenced++
		w.scheduler.TakeEpoch(p, fx.TakeEpoch)
	}
	fx.done()
}

// claims checks what a replicator says of logs.
func (w *World) claims(p *Process, fx *Effects) {
	for i := range fx.Logs {
		of, damage := w.Partitions[fx.Logs[i].Of], fx.Logs[i].Damage
		switch {
		case damage == "":
		case fx.Logs[i].Unbegun && p.Shares[of.Index].unbegun:
			w.SayOf(of, "%s finds no log", p)
		case p.Shares[of.Index].unfounded:
			w.SayOf(of, "%s calls the log damaged, because %s", p, damage)
		default:
			w.violated(of, "damage: %s calls the log damaged, because %s", p, damage)
		}
	}
	for i := range fx.Announced {
		if of := w.PartitionOf(fx.Announced[i].Of()); !of.Log.holds(&fx.Announced[i]) {
			w.violated(of, "log: %s announces an entry %d that is not the log's", p, fx.Announced[i].Sequence)
		}
	}
}

// appended notes that an append of a replicator has ended.
func (p *Process) appended(events []Event) {
	if p.Role != Replicator {
		return
	}
	for _, e := range events {
		if e, is := e.(For); is {
			switch e.Event.(type) {
			case replicator.Appended, replicator.AppendFailed:
				p.Shares[e.Of].appending = false
			}
		}
	}
}

// do has the reads and writes of a process done.
func (w *World) do(p *Process, fx *Effects) {
	s := w.scheduler
	for _, o := range fx.Uploads {
		s.Upload(p, o)
	}
	for i := range fx.Logs {
		w.doLog(p, &fx.Logs[i])
	}
	for _, job := range fx.Jobs {
		s.Job(p, job)
	}
}

// doLog has the reads and writes of a replicator for one partition done.
func (w *World) doLog(p *Process, fx *LogWork) {
	s, of := w.scheduler, w.Partitions[fx.Of]
	switch {
	case fx.Append != nil:
		p.Shares[of.Index].appending = true
		s.Append(p, of, fx.Append)
	case fx.Read != nil:
		s.Read(p, of, *fx.Read)
	case fx.Load:
		s.Load(p, of)
	}
	if fx.Mark != nil {
		s.Mark(p, of, *fx.Mark)
	}
	if fx.Scrub {
		s.Scrub(p, of)
	}
	if fx.AskTime {
		s.AskTime(p, of)
	}
	if fx.Purge != nil {
		s.Purge(p, of, *fx.Purge)
	}
	if fx.Save != nil {
		s.Save(p, of, fx.Save)
	}
}

// send sends a message to the processes that listen to its subject.
func (w *World) send(from *Process, e Envelope) {
	to := w.listening[:0]
	for _, p := range w.Processes {
		if !p.Dead && w.listens(p, e.Subject) {
			to = append(to, p)
		}
	}
	w.listening = to
	m := e.Message
	if len(to) > 0 && to[0].Role == Frontend && from.Role == Replicator {
		if m = w.withoutExcuses(from, m); m == nil {
			return
		}
	}
	w.scheduler.Send(from, to, m)
}

// withoutExcuses leaves out of a parcel what a replicator says of logs that it can rightly not read for
// a while. It would end the run: producers fail for good, until an operator has restored the snapshots.
// It returns nil if nothing is left.
func (w *World) withoutExcuses(from *Process, m *Message) *Message {
	excused := func(m messages.Message) bool {
		_, is := m.(messages.ReadOnly)
		return is && from.Shares[indexOf(w.ids, m.Of())].excused
	}
	if !slices.ContainsFunc(from.Shares[:], func(s Share) bool { return s.excused }) || !m.Any(excused) {
		return m
	}
	var left []byte
	m.Each(func(m messages.Message) {
		if !excused(m) {
			left = append(left, messages.Encode(m)...)
		}
	})
	if left == nil {
		return nil
	}
	return &Message{Data: left}
}

// listens reports whether a process listens to a subject.
func (w *World) listens(p *Process, subject string) bool {
	switch p.Role {
	case Stager:
		return subject == messages.StageSubject || subject == messages.StagerSubject(p.Name)
	case Sequencer:
		return slices.Contains(w.subjects[Sequencer], subject)
	case Replicator:
		return slices.Contains(w.subjects[Replicator], subject)
	case Archiver:
		return subject == messages.ArchiveSubject
	default:
		return slices.Contains(w.subjects[Frontend], subject) || w.addresses(p.Epoch, subject) ||
			slices.ContainsFunc(p.Earlier, func(epoch uint64) bool { return w.addresses(epoch, subject) })
	}
}

// addresses reports whether a subject is that of a frontend epoch on some log, or of the questions of the
// frontend that has begun with it.
func (w *World) addresses(epoch uint64, subject string) bool {
	return subject == messages.AskerSubject(epoch) ||
		slices.ContainsFunc(w.Partitions, func(of *Partition) bool { return subject == messages.FrontendSubject(of.ID, epoch) })
}

// answer checks the answers of a frontend, and sends them to their clients.
func (w *World) answer(p *Process, answers []Answer) {
	for _, a := range answers {
		if a.Ticket.Number > 0 {
			w.See(a.Partition, check.Answered{
				By: p.Name, Ticket: a.Ticket, Code: a.Code, Detail: a.Detail, Offset: a.Offset, Duplicate: a.Duplicate,
				Stalled: p.Hangs, LastTurn: p.renewing,
			})
		}
		if len(p.unanswered) > 0 {
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
