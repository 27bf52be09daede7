package exhaustive

import (
	"errors"

	"laneway.dev/pkg/messages"
	frontend "laneway.dev/services/frontend/core"
	replicator "laneway.dev/services/replicator/core"
	sequencer "laneway.dev/services/sequencer/core"
	"laneway.dev/test/sim/describe"
)

// machine returns the state in which the core of a process begins.
func (w *world) machine(p *process) *state {
	key := struct {
		role   Role
		number int
		epoch  uint64
	}{p.role, p.number, p.epoch}
	return w.memo.root(key, func() machine {
		switch p.role {
		case Frontend:
			return &frontendMachine{core: frontend.NewCore(partition, key.epoch, w.scope.times())}
		case Sequencer:
			return &sequencerMachine{core: sequencer.NewCore(partition, key.epoch, heartbeat)}
		default:
			s := replicator.DefaultSettings(p.String())
			s.Heartbeat, s.LaneExpiry, s.Epoch = heartbeat, laneExpiry, key.epoch
			return replicatorMachine{replicator.NewCore(partition, s)}
		}
	})
}

// listens says whether messages to a subject are for the process.
func (p *process) listens(subject string) bool {
	switch p.role {
	case Frontend:
		return subject == messages.FrontendSubject(p.epoch) || subject == committedSubject
	case Sequencer:
		return subject == sequencerSubject
	case Replicator:
		return subject == replicatorSubject
	case Nobody:
	}
	return false
}

var (
	committedSubject  = messages.CommittedSubject(partition)
	sequencerSubject  = messages.SequencerSubject(partition)
	replicatorSubject = messages.ReplicatorSubject(partition)
)

// beat lets a heartbeat pass.
func (w *world) beat() {
	w.beats++
	w.say("a heartbeat passes")
	for i := range w.processes {
		if p := &w.processes[i]; !p.dead {
			w.step(p, nil)
		}
	}
}

// receive hands a message to a process.
func (w *world) receive(p *process, l *letter) {
	if p.dead {
		return
	}
	if w.trace != nil {
		w.say("%s gets %s", p, describe.Message(l.message()))
	}
	w.step(p, l)
}

// step lets the core of a process take an event, and does what it wants to have done.
func (w *world) step(p *process, what any) {
	b := w.memo.step(p.core, event{w.beats, what})
	p.core, p.open = b.to, b.fx.open
	fx := b.fx
	if fx.damage != "" {
		w.violated("%s calls the log damaged, because %s", p, fx.damage)
	}
	for _, t := range fx.released {
		w.released(p, t)
	}
	w.send(p, fx)
	w.answer(p, fx.answers)
	w.givenUp += fx.givenUp
	p.ready = p.ready || fx.ready
	switch {
	case fx.ended:
		w.die(p, "replaced")
	case fx.fenced != 0:
		w.fenced(p, fx.fenced)
	case fx.append != nil, fx.read.Limit > 0:
		p.disk = disk{append: fx.append, read: fx.read}
	case fx.load:
		w.step(p, noSnapshots{})
	}
}

// fenced takes an epoch above one for a process, unless a younger owner of the role exists.
func (w *world) fenced(p *process, epoch uint64) {
	if w.takeEpoch(p, epoch) {
		w.replaced(p)
		return
	}
	switch p.role {
	case Frontend:
		w.step(p, frontend.EpochTaken{Epoch: p.epoch})
	case Sequencer:
		w.step(p, sequencer.EpochTaken{Epoch: p.epoch})
	case Replicator:
		w.step(p, replicator.EpochTaken{Epoch: p.epoch})
	case Nobody:
	}
}

var errReplaced = errors.New("a younger replicator runs")

func (w *world) replaced(p *process) {
	switch p.role {
	case Sequencer:
		w.step(p, sequencer.Replaced{}) // it ends
	case Frontend:
		w.step(p, frontend.Ending{Replaced: true})
		w.die(p, "replaced")
	case Replicator:
		w.step(p, replicator.Replaced{Err: errReplaced}) // it ends
	case Nobody:
	}
}
