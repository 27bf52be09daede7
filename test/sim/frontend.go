package sim

import (
	"slices"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	frontend "laneway.dev/services/frontend/core"
)

// frontendService is a frontend with the epoch that it has.
type frontendService struct {
	p        *process
	epoch    uint64
	core     *frontend.Core
	subjects []string // of all epochs that it has had: an answer may come to an older one
	ready    bool
	renewing bool           // a new epoch is being taken
	inits    []*initRequest // in the order in which they came
}

var times = frontend.Times{Heartbeat: heartbeat, StageTimeout: stageTimeout, Deadline: deadline}

func newFrontend(p *process) service {
	s := &frontendService{p: p}
	s.epoch = p.firstEpoch()
	s.core, s.subjects = frontend.NewCore(partition, s.epoch, times), []string{messages.FrontendSubject(s.epoch)}
	return s
}

func (s *frontendService) listens(subject string) bool {
	return subject == committedSubject || slices.Contains(s.subjects, subject)
}

func (s *frontendService) tick() {
	s.step()
	s.stepInits()
	s.p.w.checks.overdue(s)
}

func (s *frontendService) receive(arrived []any) {
	events := make([]frontend.Event, 0, len(arrived))
	for _, a := range arrived {
		switch m := a.(type) {
		case *request:
			if s.admits(m) {
				events = append(events, m.event())
			}
		case messages.ProducerFenced:
			s.stepInits(m)
		case messages.Committed:
			entry, err := messages.DecodeEntry(m.Entry)
			if err != nil {
				s.p.w.violated("wire: a committed entry cannot be read: %v", err)
				return
			}
			events = append(events, frontend.CommittedEntry{Partition: partition, Entry: entry})
		case messages.Refused:
			s.p.w.checks.turnedAway(m)
			events = append(events, m)
		default:
			events = append(events, m)
		}
	}
	if len(events) > 0 {
		s.step(events...)
	}
}

func (s *frontendService) step(events ...frontend.Event) {
	w := s.p.w
	fx := s.core.Step(s.p.now(), events)
	for _, e := range fx.Send {
		w.checks.issued(s, e.Message)
	}
	s.p.send(fx.Send)
	s.answer(fx.Answers)
	s.ready = s.ready || fx.Ready
	if fx.TakeEpoch != 0 {
		s.takeEpoch(fx.TakeEpoch, events)
	}
}

// takeEpoch takes an epoch above one, unless the registry has a younger frontend, and checks
// that everything of the old one is answered.
func (s *frontendService) takeEpoch(above uint64, events []frontend.Event) {
	epoch, replaced := s.p.takeEpoch(s.epoch, above)
	if replaced {
		s.p.w.counts.Fenced++
		s.p.die("replaced")
		s.step(frontend.Ending{Replaced: true})
		return
	}
	old := s.epoch
	s.epoch = epoch
	s.subjects = append(s.subjects, messages.FrontendSubject(s.epoch))
	s.renewing = true
	s.step(frontend.EpochTaken{Epoch: s.epoch})
	s.renewing = false
	s.p.w.checks.abandoned(s, old, events)
}

// admits says whether a request of a client is let in, and refuses it if not.
func (s *frontendService) admits(r *request) bool {
	if !s.p.w.fault(s.p.w.config.Mix.RefuseAdmission) {
		return true
	}
	s.p.w.counts.AdmissionRefused++
	s.p.w.say("  ! %s has no room for %s", s.p, r)
	r.answer(s.p.w, frontend.Answer{Error: protocol.NewError(protocol.CodeOverloaded, "simulated")})
	return false
}

func (s *frontendService) answer(answers []frontend.Answer) {
	for _, a := range answers {
		s.p.w.trace.answered(s.p.w.elapsed(), &a)
		r := a.Request.(*request)
		if a.Number > 0 { // else it has got no ticket
			s.p.w.checks.answered(s, a)
		}
		r.answer(s.p.w, a)
	}
}
