package exhaustive

// choice is something that may happen next. What at and to are depends on what.
type choice struct {
	what   what
	at, to int
}

type what uint8

const (
	arrive     what = iota // what is first in queue at arrives
	lose                   // it is lost
	uploadEnds             // upload at ends
	loseUpload             // its result is lost
	works                  // replicator at gets on with the log
	lateLands              // late append at lands
	reconnects             // client at finds out about the disturbance

	// What follows does not happen by itself.

	double       // process at gets once more what it had already: the letter to
	doubleUpload // the result of ended upload at comes once more
	losesAppend
	losesAck
	delaysAppend
	sends // client at sends to process to
	losesRequest
	disturbs // the victim's role
	beats
)

// choices adds everything that may happen next, in a fixed order, and says whether
// nothing of it happens by itself.
func (w *world) choices(all []choice) (_ []choice, final bool) {
	all = w.ownChoices(all)
	final = len(all) == 0
	if w.left.lose > 0 {
		all = w.losses(all)
	}
	if w.left.double > 0 {
		all = w.doubles(all)
	}
	all = w.logFaults(all)
	all = w.requests(all)
	if w.left.disturb > 0 {
		all = append(all, choice{disturbs, 0, 0})
	}
	if w.left.beats > 0 {
		all = append(all, choice{beats, 0, 0})
	}
	return all, final
}

// ownChoices adds what happens by itself.
func (w *world) ownChoices(all []choice) []choice {
	for i := range w.queues {
		all = append(all, choice{arrive, i, 0})
	}
	for i, u := range w.uploads {
		if i == 0 || u != w.uploads[i-1] { // else the same again
			all = append(all, choice{uploadEnds, i, 0})
		}
	}
	for i := range w.late {
		all = append(all, choice{lateLands, i, 0})
	}
	for i := range w.processes {
		if w.processes[i].disk.busy() {
			all = append(all, choice{works, i + 1, 0})
		}
	}
	for i := range w.clients {
		if w.clients[i].broken {
			all = append(all, choice{reconnects, i, 0})
		}
	}
	return all
}

// losses adds what may be lost on its way.
func (w *world) losses(all []choice) []choice {
	for i := range w.queues {
		all = append(all, choice{lose, i, 0})
	}
	for i, u := range w.uploads {
		if i == 0 || u != w.uploads[i-1] {
			all = append(all, choice{loseUpload, i, 0})
		}
	}
	return all
}

// doubles adds what may come a second time.
func (w *world) doubles(all []choice) []choice {
	for i := range w.processes {
		for n := range w.processes[i].had {
			all = append(all, choice{double, i + 1, n})
		}
	}
	for i := range w.ended {
		all = append(all, choice{doubleUpload, i, 0})
	}
	return all
}

// logFaults adds what may go wrong between replicators and the log.
func (w *world) logFaults(all []choice) []choice {
	for i := range w.processes {
		d := &w.processes[i].disk
		if w.left.lose > 0 && (d.append != nil || d.acked != 0) {
			all = append(all, choice{losesAppend, i + 1, 0})
		}
		if w.left.lose > 0 && d.append != nil && w.alone() {
			all = append(all, choice{losesAck, i + 1, 0})
		}
		if w.left.late > 0 && d.append != nil {
			all = append(all, choice{delaysAppend, i + 1, 0})
		}
	}
	return all
}

// requests adds what clients may send.
func (w *world) requests(all []choice) []choice {
	for i := range w.clients {
		if w.sends == 0 || !w.clients[i].wants() {
			continue
		}
		for n := range w.processes {
			if p := &w.processes[n]; p.role == Frontend && p.ready {
				all = append(all, choice{sends, i, p.number})
			}
		}
		if w.left.lose > 0 {
			all = append(all, choice{losesRequest, i, 0})
		}
	}
	return all
}
