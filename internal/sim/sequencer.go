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
	epoch := p.w.nextEpoch(0)
	return &sequencerService{p: p, epoch: epoch, core: sequencer.NewCore(partition, epoch, heartbeat, nil)}
}

func (s *sequencerService) listens(subject string) bool {
	return subject == sequencerSubject
}

func (s *sequencerService) tick() { s.step() }

func (s *sequencerService) receive(_ string, m messages.Message) {
	fenced, is := m.(messages.Fenced)
	switch {
	case !is:
		s.step(m)
	case fenced.Epoch <= s.epoch:
	case !s.p.newest():
		s.p.w.counts.Fenced++
		s.p.die("replaced")
	default:
		s.epoch = s.p.w.nextEpoch(fenced.Epoch)
		s.core.SetEpoch(s.epoch)
	}
}

func (s *sequencerService) step(arrived ...messages.Message) {
	s.p.send(s.core.Step(s.p.now(), arrived))
	stats := s.core.Stats()
	s.p.w.counts.early(s.p, stats.Early, stats.Repeated)
}
