package exhaustive

import "slices"

// choice is something that may happen next. What at and to are depends on what.
type choice struct {
	what   what
	at, to int
}

type what uint8

const (
	arrive     what = iota // the first packet of queue at arrives
	lose                   // it is lost
	double                 // it arrives, and its second copy is on its way
	upload                 // upload at ends
	loseUpload             // its result is lost
	doubleUpload
	strayArrives // stray at arrives
	works        // replicator at gets on with the log
	losesAppend
	losesAck
	delaysAppend
	lateLands // late append at lands
	sends     // client at sends to process to
	losesRequest
	reconnects // client at finds out about the disturbance
	disturbs   // the victim's role
	beats
)

// choices returns everything that may happen next, in a fixed order.
func (w *world) choices() []choice {
	all := append(make([]choice, 0, 32), w.arrivals()...)
	add := func(possible bool, c choice) {
		if possible {
			all = append(all, c)
		}
	}
	for _, p := range w.processes {
		add(p.disk.busy(), choice{works, p.number, 0})
		add(w.left.lose > 0 && (p.disk.append != nil || p.disk.acked != 0), choice{losesAppend, p.number, 0})
		add(w.left.lose > 0 && p.disk.append != nil && w.alone(), choice{losesAck, p.number, 0})
		add(w.left.late > 0 && p.disk.append != nil, choice{delaysAppend, p.number, 0})
	}
	for _, c := range w.clients {
		if w.left.sends > 0 && c.wants() {
			for _, p := range w.living(Frontend) {
				add(p.ready, choice{sends, c.number, p.number})
			}
			add(w.left.lose > 0, choice{losesRequest, c.number, 0})
		}
		add(c.broken, choice{reconnects, c.number, 0})
	}
	add(w.left.disturb > 0, choice{disturbs, 0, 0})
	add(w.left.beats > 0, choice{beats, 0, 0})
	return all
}

// arrivals returns what may arrive next, and what may become of it on the way.
func (w *world) arrivals() []choice {
	var all []choice
	add := func(possible bool, c choice) {
		if possible {
			all = append(all, c)
		}
	}
	for i, q := range w.queues {
		add(true, choice{arrive, i, 0})
		add(w.left.lose > 0, choice{lose, i, 0})
		add(w.left.double > 0 && q.to > 0, choice{double, i, 0})
	}
	for i := range w.uploads {
		if i > 0 && w.uploads[i] == w.uploads[i-1] {
			continue // the same again
		}
		add(true, choice{upload, i, 0})
		add(w.left.lose > 0, choice{loseUpload, i, 0})
		add(w.left.double > 0, choice{doubleUpload, i, 0})
	}
	for i := range w.strays {
		add(true, choice{strayArrives, i, 0})
	}
	for i := range w.late {
		add(true, choice{lateLands, i, 0})
	}
	return all
}

// do lets something happen.
func (w *world) do(c choice) {
	switch c.what {
	case arrive, lose, double:
		w.doQueue(c)
	case upload, loseUpload, doubleUpload:
		w.doUpload(c)
	case strayArrives:
		s := w.strays[c.at]
		w.strays = slices.Delete(w.strays, c.at, c.at+1)
		w.say("a second copy:")
		w.receive(w.process(s.to), s.data)
	case works:
		w.work(w.process(c.at))
	case losesAppend:
		w.left.lose--
		w.loseAppend(w.process(c.at))
	case losesAck:
		w.left.lose--
		w.loseAck(w.process(c.at))
	case delaysAppend:
		w.left.late--
		w.delayAppend(w.process(c.at))
	case lateLands:
		a := w.late[c.at]
		w.late = slices.Delete(w.late, c.at, c.at+1)
		w.say("a late append arrives")
		w.land(a)
	case sends:
		if w.produce(w.clients[c.at], w.process(c.to)) {
			w.left.sends--
		}
	case losesRequest:
		if w.produce(w.clients[c.at], nil) { // and its sender hears of it, by and by
			w.left.sends--
			w.left.lose--
		}
	case reconnects:
		w.reconnect(w.clients[c.at])
	case disturbs:
		w.disturb()
	case beats:
		w.left.beats--
		for _, c := range w.clients {
			clear(c.flying) // attempts may time out
		}
		w.beat()
	}
}

// doQueue takes the first packet of a queue.
func (w *world) doQueue(c choice) {
	q := w.queues[c.at]
	p := q.packets[0]
	if q.packets = q.packets[1:]; len(q.packets) == 0 {
		w.queues = slices.Delete(w.queues, c.at, c.at+1)
	}
	if c.what == double {
		w.left.double--
		w.strays = append(w.strays, stray{q.to, p})
	}
	switch {
	case c.what == lose:
		w.left.lose--
		w.say("what is first from %d to %d is lost", q.from, q.to)
	case q.to < 0:
		w.hear(w.clients[-1-q.to], p.answer)
	default:
		w.receive(w.process(q.to), p.data)
	}
}

// doUpload ends an upload. Every sequencer hears of it.
func (w *world) doUpload(c choice) {
	p := w.uploads[c.at]
	switch c.what {
	case loseUpload:
		w.left.lose--
		w.say("the result of upload %d is lost", c.at)
	case doubleUpload:
		w.left.double--
	default:
	}
	if c.what != doubleUpload {
		w.uploads = slices.Delete(w.uploads, c.at, c.at+1)
	}
	if c.what == loseUpload {
		return
	}
	for _, s := range w.living(Sequencer) {
		w.receive(s, p.data)
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
		for _, c := range w.clients {
			c.broken = true
		}
	}
}
