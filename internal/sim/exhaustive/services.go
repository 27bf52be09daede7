package exhaustive

import (
	"laneway.dev/pkg/messages"
	"laneway.dev/services/frontend"
	"laneway.dev/services/replicator"
)

// listens says whether messages to a subject are for the process.
func (p *process) listens(subject string) bool {
	switch p.role {
	case Frontend:
		return subject == messages.FrontendSubject(p.epoch) || subject == partition.CommittedSubject()
	case Sequencer:
		return subject == partition.SequencerSubject()
	case Replicator:
		return subject == partition.ReplicatorSubject()
	case Nobody:
	}
	return false
}

// tick lets a process notice the time.
func (w *world) tick(p *process) {
	switch {
	case p.dead:
	case p.role == Frontend:
		w.stepFrontend(p)
	case p.role == Sequencer:
		w.send(p, p.sequencer.Step(w.now, nil))
	case p.role == Replicator:
		w.stepReplicator(p)
	}
}

// beat lets a heartbeat pass.
func (w *world) beat() {
	w.now = w.now.Add(heartbeat)
	w.say("a heartbeat passes")
	for _, p := range w.processes {
		w.tick(p)
	}
}

// receive hands a message to a process.
func (w *world) receive(p *process, data string) {
	m, err := messages.Decode([]byte(data))
	if err != nil {
		w.violated("a message cannot be read: %v", err)
		return
	}
	if p.dead {
		return
	}
	w.say("%s gets %T%+v", p, m, m)
	switch p.role {
	case Frontend:
		w.toFrontend(p, m)
	case Sequencer:
		w.toSequencer(p, m)
	case Replicator:
		w.stepReplicator(p, m)
	case Nobody:
	}
}

func (w *world) toFrontend(p *process, m messages.Message) {
	c, is := m.(messages.Committed)
	if !is {
		w.stepFrontend(p, m)
		return
	}
	entry, err := messages.DecodeEntry(c.Entry)
	if err != nil {
		w.violated("a committed entry cannot be read: %v", err)
		return
	}
	w.stepFrontend(p, frontend.CommittedEntry{Partition: partition, Entry: entry})
}

func (w *world) stepFrontend(p *process, events ...frontend.Event) {
	fx := p.frontend.Step(w.now, events)
	w.send(p, fx.Send)
	w.answer(p, fx.Answers)
	p.ready = p.ready || fx.Ready
	switch {
	case fx.Fenced == 0:
	case !w.newest(p):
		w.die(p, "replaced")
	default:
		w.answer(p, p.frontend.Abandon(messages.CodeOutcomeUnknown))
		p.epoch = w.nextEpoch(fx.Fenced)
		p.ready = false
		p.frontend = frontend.NewCore(partition, p.epoch, w.scope.times())
		w.stepFrontend(p)
	}
}

func (w *world) toSequencer(p *process, m messages.Message) {
	fenced, is := m.(messages.Fenced)
	switch {
	case !is:
		out := p.sequencer.Step(w.now, []messages.Message{m})
		for _, e := range out {
			if r, is := e.Message.(messages.Release); is {
				w.released(p, r)
			}
		}
		w.send(p, out)
	case fenced.Epoch <= p.epoch:
	case !w.newest(p):
		w.die(p, "replaced")
	default:
		p.epoch = w.nextEpoch(fenced.Epoch)
		p.sequencer.SetEpoch(p.epoch)
	}
}

func (w *world) stepReplicator(p *process, events ...replicator.Event) {
	fx := p.replicator.Step(w.now, events)
	if fx.Stop != nil {
		w.die(p, "replaced")
		return
	}
	w.send(p, fx.Send)
	switch {
	case fx.Append != nil:
		p.disk = disk{append: &appending{expected: fx.Append.Expected, data: string(fx.Append.Data)}}
	case fx.Read != nil:
		p.disk = disk{read: fx.Read}
	case fx.Load:
		w.stepReplicator(p, replicator.Loaded{})
	}
}
