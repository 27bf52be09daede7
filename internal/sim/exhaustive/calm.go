package exhaustive

// drainServices lets everything arrive that is on its way between services, once
// around; false if nothing was.
func (w *world) drainServices() bool {
	some := false
	for _, p := range w.processes {
		if p.disk.busy() {
			some = true
			w.work(p)
		}
	}
	for len(w.late) > 0 {
		some = true
		w.do(choice{lateLands, 0, 0})
	}
	for len(w.strays) > 0 {
		some = true
		w.do(choice{strayArrives, 0, 0})
	}
	for len(w.uploads) > 0 {
		some = true
		w.do(choice{upload, 0, 0})
	}
	for n := len(w.queues); n > 0 && len(w.queues) > 0; n-- {
		some = true
		w.do(choice{arrive, 0, 0})
	}
	return some
}

// resolve ends all faults, lets time pass, and checks that everything resolves.
func (w *world) resolve() {
	const enough = 150 // heartbeats
	w.calm = true
	w.say("faults end")
	for n := 0; n < enough && w.violation == nil; n++ {
		w.drain()
		if w.finished() {
			break
		}
		w.beat()
	}
	if w.violation == nil {
		w.end()
	}
}

// drain lets everything happen that does not wait for time.
func (w *world) drain() {
	for some := true; some && w.violation == nil; {
		some = w.drainServices()
		for _, c := range w.clients {
			some = w.sendAll(c) || some
		}
	}
}

// sendAll lets a client send what it wants to send.
func (w *world) sendAll(c *client) bool {
	if c.broken {
		w.reconnect(c)
	}
	all := w.living(Frontend)
	to := all[len(all)-1]
	if !to.ready || c.window == nil && c.sent == c.batches {
		return false
	}
	some := false
	for w.violation == nil && (c.window != nil || c.sent < c.batches) && w.produce(c, to) {
		some = true
	}
	return some
}

// finished says whether nothing is left to be done.
func (w *world) finished() bool {
	for _, c := range w.clients {
		if c.window != nil && c.acked < c.batches {
			return false
		}
	}
	for _, p := range w.processes {
		switch {
		case p.dead:
		case p.role == Frontend && p.frontend.Stats().Outstanding > 0:
			return false
		case p.role == Sequencer && p.sequencer.Stats().Lanes > 0:
			return false
		}
	}
	return true
}
