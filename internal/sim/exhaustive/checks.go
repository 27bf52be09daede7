package exhaustive

import (
	"fmt"

	"laneway.dev/pkg/messages"
	"laneway.dev/services/frontend"
)

// checks is what was seen, as far as something later is compared with it.
type checks struct {
	next     int64                // offset in the log
	epoch    uint64               // of the newest entry with batches: the frontend's
	turner   uint64               // and the sequencer's
	last     map[laneKey]uint64   // in the log
	places   map[string]int64     // by batch: offset in the log
	resolved map[ticket]bool      // answered
	answers  map[laneKey]uint64   // the last ticket that was answered
	released map[release]struct{} // by each sequencer
	given    map[ticket]string    // issued, and for which batch
}

type laneKey struct {
	epoch uint64
	lane  string
}

type ticket struct {
	laneKey
	number uint64
}

type release struct {
	sequencer int
	ticket
}

func newChecks() checks {
	return checks{
		last: map[laneKey]uint64{}, places: map[string]int64{}, resolved: map[ticket]bool{},
		answers: map[laneKey]uint64{}, released: map[release]struct{}{}, given: map[ticket]string{},
	}
}

// released checks that a sequencer skips nothing that is not resolved.
func (w *world) released(p *process, r messages.Release) {
	for i := range r.Batches {
		b := &r.Batches[i]
		t := ticket{laneKey{r.Epoch, b.Lane}, b.Number}
		for before := t; before.number > 1; {
			before.number--
			_, was := w.checks.released[release{p.number, before}]
			if w.open(before) && !was {
				w.violated("I2: %s releases ticket %d of lane %s, epoch %d, and skips %d", p, t.number, t.lane, t.epoch, before.number)
			}
		}
		w.checks.released[release{p.number, t}] = struct{}{}
	}
}

// open says whether a ticket was issued and is not resolved. Numbers of a lane that
// was forgotten start above those of all others, so not every number is issued.
func (w *world) open(t ticket) bool {
	_, given := w.checks.given[t]
	return given && !w.checks.resolved[t]
}

// committed checks an entry that has come into the log.
func (w *world) committed(e *messages.Entry) {
	c := &w.checks
	if e.BaseOffset != c.next {
		w.violated("an entry begins at offset %d, the one before ends at %d", e.BaseOffset, c.next)
	}
	if len(e.Batches) > 0 {
		if e.Epoch < c.epoch || e.SequencerEpoch < c.turner {
			w.violated("an entry of epochs %d, %d comes behind epochs %d, %d", e.Epoch, e.SequencerEpoch, c.epoch, c.turner)
		}
		c.epoch, c.turner = e.Epoch, e.SequencerEpoch
	}
	for i := range e.Batches {
		b := &e.Batches[i]
		t := ticket{laneKey{e.Epoch, b.Lane}, b.Number}
		if t.number <= c.last[t.laneKey] {
			w.violated("I1: ticket %d of lane %s, epoch %d, comes behind %d", t.number, t.lane, t.epoch, c.last[t.laneKey])
		}
		w.skipsNothing(t)
		c.last[t.laneKey] = t.number
		if at, there := c.places[b.Extent.Key]; there {
			w.violated("I6: batch %s is at offset %d, and comes to %d", b.Extent.Key, at, c.next)
		}
		c.places[b.Extent.Key] = c.next
		c.next += int64(b.Records)
		w.inSequence(b)
	}
}

// skipsNothing checks that nothing unresolved of a plain lane is left out of the log.
// A batch of a producer may rightly be refused before its successor is accepted;
// there the order of the producer is what counts.
func (w *world) skipsNothing(t ticket) {
	for before := t; before.number > w.checks.last[t.laneKey]+1; {
		before.number--
		if w.open(before) && t.lane[0] == 'p' {
			w.violated("I2: ticket %d of lane %s, epoch %d, skips %d", t.number, t.lane, t.epoch, before.number)
		}
	}
}

// inSequence checks that the batches of a producer come in its order.
func (w *world) inSequence(b *messages.Placeholder) {
	if b.Sequence.ProducerID == 0 {
		return
	}
	c := w.clients[b.Sequence.ProducerID-1]
	n := int(b.Sequence.First) / c.records()
	for before := range n {
		if _, there := w.checks.places[fmt.Sprintf("%d.%d", c.number, before)]; !there {
			w.violated("I7: batch %s comes before batch %d", b.Extent.Key, before)
		}
	}
}

// answered checks that answers of a lane leave once, and in ticket order.
func (w *world) answered(a *frontend.Answer) {
	t := ticket{laneKey{a.Epoch, a.Lane}, a.Number}
	if a.Number <= w.checks.answers[t.laneKey] {
		w.violated("I4: ticket %d of lane %s, epoch %d, is answered behind %d", t.number, t.lane, t.epoch, w.checks.answers[t.laneKey])
	}
	w.checks.answers[t.laneKey] = a.Number
	w.checks.resolved[t] = true
}

// acked checks an acknowledgement that reaches its client.
func (w *world) acked(c *client, a *answer) {
	at, there := w.checks.places[fmt.Sprintf("%d.%d", a.client, a.batch)]
	if !there || at != a.offset {
		w.violated("I6: batch %d of client %d is acknowledged at offset %d; it is in the log: %t, at %d", a.batch, c.number, a.offset, there, at)
	}
}

// end checks what must be once faults have ended long ago.
func (w *world) end() {
	for _, c := range w.clients {
		for n := range c.batches {
			if _, there := w.checks.places[fmt.Sprintf("%d.%d", c.number, n)]; !there && c.window != nil {
				w.violated("batch %d of client %d is not in the log", n, c.number)
			}
		}
		if c.window != nil && c.acked < c.batches {
			w.violated("client %d makes no progress: %d of %d batches are acknowledged", c.number, c.acked, c.batches)
		}
	}
	for _, p := range w.processes {
		switch {
		case p.dead:
		case p.role == Frontend && p.frontend.Stats().Outstanding > 0:
			w.violated("I3: %s has %d tickets that are not resolved", p, p.frontend.Stats().Outstanding)
		case p.role == Frontend && p.frontend.Stats().GivenUp > 0 && w.scope.Beats == 0:
			w.violated("%s has given up %d tickets, where heartbeats could repair everything", p, p.frontend.Stats().GivenUp)
		case p.role == Sequencer && p.sequencer.Stats().Lanes > 0:
			w.violated("%s has %d lanes left", p, p.sequencer.Stats().Lanes)
		}
	}
	for t := range w.checks.given {
		if w.open(t) && w.alive(t.epoch) {
			w.violated("I3: ticket %d of lane %s, epoch %d, is not answered", t.number, t.lane, t.epoch)
		}
	}
}

// alive says whether a frontend has an epoch.
func (w *world) alive(epoch uint64) bool {
	for _, p := range w.living(Frontend) {
		if p.epoch == epoch {
			return true
		}
	}
	return false
}
