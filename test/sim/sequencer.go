package sim

import sequencer "laneway.dev/services/sequencer/core"

// sequencerService is the shell of a sequencer.
type sequencerService struct {
	p     *process
	epoch uint64
	core  *sequencer.Core

	early, repeated uint64 // counted already
}

func newSequencer(p *process) service {
	epoch := p.firstEpoch()
	return &sequencerService{p: p, epoch: epoch, core: sequencer.NewCore(partition, epoch, heartbeat)}
}

func (s *sequencerService) listens(subject string) bool {
	return subject == sequencerSubject
}

func (s *sequencerService) tick() { s.step() }

func (s *sequencerService) receive(arrived []any) {
	events := make([]sequencer.Event, len(arrived))
	for i, a := range arrived {
		events[i] = a
	}
	s.step(events...)
}

func (s *sequencerService) step(events ...sequencer.Event) {
	fx := s.core.Step(s.p.now(), events)
	s.p.send(fx.Send)
	stats := s.core.Stats()
	s.p.w.counts.early(s.p, stats.Early, stats.Repeated)
	if fx.TakeEpoch != 0 {
		s.takeEpoch(fx.TakeEpoch)
	}
	if fx.Ended {
		s.p.w.counts.Fenced++
		s.p.die("replaced")
	}
}

// takeEpoch takes an epoch above one, unless the registry has a younger sequencer.
func (s *sequencerService) takeEpoch(above uint64) {
	epoch, replaced := s.p.takeEpoch(s.epoch, above)
	if replaced {
		s.step(sequencer.Replaced{})
		return
	}
	s.epoch = epoch
	s.step(sequencer.EpochTaken{Epoch: s.epoch})
}
