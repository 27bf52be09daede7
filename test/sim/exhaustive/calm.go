package exhaustive

import "slices"

// drainServices lets everything arrive that is on its way between services, once
// around; false if nothing was.
func (w *world) drainServices() bool {
	some := false
	for i := range w.processes {
		if p := &w.processes[i]; p.disk.busy() {
			some = true
			w.work(p)
		}
	}
	for len(w.late) > 0 {
		some = true
		w.do(choice{lateLands, 0, 0})
	}
	for len(w.uploads) > 0 {
		some = true
		w.do(choice{uploadEnds, 0, 0})
	}
	for n := len(w.queues); n > 0 && len(w.queues) > 0; n-- {
		some = true
		w.do(choice{arrive, 0, 0})
	}
	return some
}

// resolve ends all faults, lets time pass, and checks that everything resolves. It
// goes on no longer when known, which may be nil, says that the rest was seen already.
func (w *world) resolve(known func(*world) bool) {
	const enough = 150 // heartbeats
	w.calm, w.left = true, budget{}
	w.say("faults end")
	for n := 0; n < enough && w.violation == nil; n++ {
		w.drain()
		if w.finished() {
			break
		}
		if known != nil && known(w) {
			return
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
		for i := range w.clients {
			some = w.sendAll(&w.clients[i]) || some
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
	return !slices.ContainsFunc(w.clients, func(c client) bool { return c.window != nil && c.acked < c.batches }) &&
		!slices.ContainsFunc(w.processes, func(p process) bool { return p.open > 0 })
}
