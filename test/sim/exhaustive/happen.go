package exhaustive

import (
	"slices"

	"laneway.dev/test/sim/describe"
)

// do lets something happen.
func (w *world) do(c choice) {
	switch c.what {
	case arrive, lose:
		w.doQueue(c)
	case uploadEnds, loseUpload:
		w.doUpload(c)
	case works:
		w.work(w.process(c.at))
	case lateLands:
		a := w.late[c.at]
		w.late = slices.Delete(w.late, c.at, c.at+1)
		w.say("a late append arrives")
		w.land(a)
	case reconnects:
		w.reconnect(&w.clients[c.at])
	case sends:
		if w.produce(&w.clients[c.at], w.process(c.to)) {
			w.sends--
		}
	case beats:
		w.left.beats--
		for i := range w.clients {
			w.clients[i].flying = 0 // attempts may time out
		}
		w.beat()
	default:
		w.fail(c)
	}
}

// fail lets something go wrong.
func (w *world) fail(c choice) {
	switch c.what {
	case double:
		l := w.process(c.at).had[c.to]
		w.spendDouble()
		w.receive(w.process(c.at), l)
	case doubleUpload:
		l := w.ended[c.at]
		w.spendDouble()
		w.staged(l)
	case losesAppend:
		w.left.lose--
		w.loseAppend(w.process(c.at))
	case losesAck:
		w.left.lose--
		w.loseAck(w.process(c.at))
	case delaysAppend:
		w.left.late--
		w.delayAppend(w.process(c.at))
	case losesRequest:
		if w.produce(&w.clients[c.at], nil) { // and its sender hears of it, by and by
			w.sends--
			w.left.lose--
		}
	case disturbs:
		w.disturb()
	default:
		panic("this cannot be chosen")
	}
}

// doQueue takes the first letter of a queue.
func (w *world) doQueue(c choice) {
	q := w.queues[c.at]
	l := q.letters[0]
	if len(q.letters) == 1 {
		w.queues = slices.Delete(w.queues, c.at, c.at+1)
	} else {
		w.queues[c.at].letters = q.letters[1:]
	}
	switch {
	case c.what == lose:
		w.lost(q.to, l)
		w.left.lose--
	case q.to < 0:
		w.hear(&w.clients[-1-q.to], l.answer)
	default:
		p := w.process(q.to)
		if w.left.double > 0 {
			p.had = remember(p.had, l)
		}
		w.receive(p, l)
	}
}

// lost tells what is lost on its way to a process or, below 0, a client.
func (w *world) lost(to int, l *letter) {
	switch {
	case w.trace == nil:
	case to < 0:
		w.say("lost: an answer to client %d", -1-to)
	default:
		w.say("lost: to %s, %s", w.process(to), describe.Message(l.message()))
	}
}

// doUpload ends an upload.
func (w *world) doUpload(c choice) {
	l := w.uploads[c.at]
	w.uploads = slices.Delete(w.uploads, c.at, c.at+1)
	if c.what == loseUpload {
		if w.trace != nil {
			w.say("lost: %s", describe.Message(l.message()))
		}
		w.left.lose--
		return
	}
	if w.left.double > 0 {
		w.ended = remember(w.ended, l)
	}
	w.staged(l)
}

// staged lets every sequencer hear of an upload that has ended.
func (w *world) staged(l *letter) {
	for i := range w.processes {
		if p := &w.processes[i]; p.role == Sequencer {
			w.receive(p, l)
		}
	}
}

// remember returns letters with one that may come a second time.
func remember(all []*letter, l *letter) []*letter {
	if slices.Contains(all, l) {
		return all
	}
	return insert(all, l)
}

// spendDouble notes that something comes a second time. Nothing else does then, and
// nobody has to know any more what has arrived.
func (w *world) spendDouble() {
	w.say("for a second time:")
	if w.left.double--; w.left.double > 0 {
		return
	}
	w.ended = nil
	for i := range w.processes {
		w.processes[i].had = nil
	}
}

// disturb ends the owner of the victim's role, or lets it go on beside another one.
func (w *world) disturb() {
	w.left.disturb--
	if !w.scope.Zombie {
		w.die(w.living(w.scope.Victim)[0], "it crashes")
	}
	w.start(w.scope.Victim)
	if w.scope.Victim == Frontend {
		for i := range w.clients {
			w.clients[i].broken = w.clients[i].window != nil
		}
	}
}
