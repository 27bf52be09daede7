package sim

import (
	"laneway.dev/pkg/messages"
	"laneway.dev/services/sequencer"
)

// sequencerService is a sequencer with the epoch that it has.
type sequencerService struct {
	p     *process
	epoch uint64
	core  *sequencer.Core

	early, repeated uint64 // counted already
}

func newSequencer(p *process) service {
	epoch := p.w.nextEpoch(sequencerRole, 0)
	return &sequencerService{p: p, epoch: epoch, core: sequencer.NewCore(partition, epoch, heartbeat, nil)}
}

func (s *sequencerService) listens(subject string) bool {
	return subject == sequencerSubject
}

func (s *sequencerService) tick() { s.step() }

func (s *sequencerService) receive(arrived []any) {
	var taken []messages.Message
	for _, a := range arrived {
		if fenced, is := a.(messages.Fenced); is {
			s.fenced(fenced)
			continue
		}
		taken = append(taken, a.(messages.Message))
	}
	if len(taken) > 0 && !s.p.dead {
		s.step(taken...)
	}
}

// fenced is told of a higher epoch, beside the mailbox.
func (s *sequencerService) fenced(fenced messages.Fenced) {
	switch {
	case fenced.Epoch <= s.epoch:
	case s.p.w.replaced(sequencerRole, s.epoch):
		s.p.w.counts.Fenced++
		s.p.die("replaced")
	default:
		s.epoch = s.p.w.nextEpoch(sequencerRole, fenced.Epoch)
		s.core.SetEpoch(s.epoch)
	}
}

func (s *sequencerService) step(arrived ...messages.Message) {
	s.p.send(s.core.Step(s.p.now(), arrived))
	stats := s.core.Stats()
	s.p.w.counts.early(s.p, stats.Early, stats.Repeated)
}
