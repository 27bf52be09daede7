package exhaustive

import (
	"maps"
	"reflect"

	"laneway.dev/pkg/messages"
)

// checks is what was seen, as far as something later is compared with it. Worlds share it.
type checks struct {
	id       int
	next     int64                // offset in the log
	epoch    uint64               // of the newest entry with batches: the frontend's
	turner   uint64               // and the sequencer's
	last     map[laneKey]uint64   // in the log
	places   map[string]int64     // by batch: offset in the log
	open     map[ticket]struct{}  // issued, and not answered
	answers  map[laneKey]uint64   // the last ticket that was answered
	released map[release]struct{} // by each sequencer, of those that are open
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

func newChecks() *checks {
	return &checks{
		last: map[laneKey]uint64{}, places: map[string]int64{}, open: map[ticket]struct{}{},
		answers: map[laneKey]uint64{}, released: map[release]struct{}{},
	}
}

// sighting is something that is seen after all else.
type sighting struct {
	before *checks
	what   any
}

// see lets look compare and note what is seen. What comes of that depends on what was
// seen before, and on it: so it is looked at once.
func (w *world) see(what any, look func(c *checks)) {
	now := sighting{w.checks, what}
	if after, known := w.memo.sightings[now]; known {
		w.checks = after
		return
	}
	c := *w.checks
	c.last, c.places, c.open = maps.Clone(c.last), maps.Clone(c.places), maps.Clone(c.open)
	c.answers, c.released = maps.Clone(c.answers), maps.Clone(c.released)
	look(&c)
	w.checks = w.memo.check(&c)
	if w.violation == nil {
		w.memo.sightings[now] = w.checks
	}
}

// check returns what is known already and equal to c, if there is such.
func (m *memo) check(c *checks) *checks {
	c.id = 0
	name := m.walker.of(reflect.ValueOf(c).Elem())
	return find(m.checks, name, func(id int) *checks {
		c.id = id
		return c
	})
}

// is says whether a ticket is open: it was issued and is not resolved. Numbers of a lane
// that was forgotten start above those of all others, so not every number is issued.
func (c *checks) is(t ticket) bool {
	_, open := c.open[t]
	return open
}

// issued notes a ticket; it is told again of one that is staged again.
func (w *world) issued(t ticket) {
	w.see(t, func(c *checks) {
		if t.number > c.answers[t.laneKey] {
			c.open[t] = struct{}{}
		}
	})
}

// released checks that a sequencer skips nothing that is not resolved.
func (w *world) released(p *process, t ticket) {
	r := release{p.number, t}
	w.see(r, func(c *checks) {
		for before := r; before.number > 1; {
			before.number--
			if _, was := c.released[before]; !was && c.is(before.ticket) {
				w.violated("I2: %s releases ticket %d of lane %s, epoch %d, and skips %d", p, t.number, t.lane, t.epoch, before.number)
			}
		}
		if c.is(t) {
			c.released[r] = struct{}{}
		}
	})
}

// committed checks an entry that has come into the log.
func (w *world) committed(l *logged) {
	w.see(l, func(c *checks) {
		e := decodeEntry([]byte(l.data))
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
			w.batchCommitted(c, e.Epoch, &e.Batches[i])
		}
	})
}

func (w *world) batchCommitted(c *checks, epoch uint64, b *messages.Placeholder) {
	t := ticket{laneKey{epoch, b.Lane}, b.Number}
	if t.number <= c.last[t.laneKey] {
		w.violated("I1: ticket %d of lane %s, epoch %d, comes behind %d", t.number, t.lane, t.epoch, c.last[t.laneKey])
	}
	w.skipsNothing(c, t)
	c.last[t.laneKey] = t.number
	if at, there := c.places[b.Extent.Key]; there {
		w.violated("I6: batch %s is at offset %d, and comes to %d", b.Extent.Key, at, c.next)
	}
	c.places[b.Extent.Key] = c.next
	c.next += int64(b.Records)
	w.inSequence(c, b)
}

// skipsNothing checks that nothing unresolved of a plain lane is left out of the log.
// A batch of a producer may rightly be refused before its successor is accepted;
// there the order of the producer is what counts.
func (w *world) skipsNothing(c *checks, t ticket) {
	for before := t; before.number > c.last[t.laneKey]+1; {
		before.number--
		if c.is(before) && t.lane[0] == 'p' {
			w.violated("I2: ticket %d of lane %s, epoch %d, skips %d", t.number, t.lane, t.epoch, before.number)
		}
	}
}

// inSequence checks that the batches of a producer come in its order.
func (w *world) inSequence(c *checks, b *messages.Placeholder) {
	if b.Sequence.ProducerID == 0 {
		return
	}
	client := int(b.Sequence.ProducerID - 1)
	for before := range int(b.Sequence.First) / records(client) {
		if _, there := c.places[key(client, before)]; !there {
			w.violated("I7: batch %s comes before batch %d", b.Extent.Key, before)
		}
	}
}

// answered checks that answers of a lane leave once, and in ticket order.
func (w *world) answered(a answered) {
	w.see(a, func(c *checks) {
		t := a.ticket
		if t.number <= c.answers[t.laneKey] {
			w.violated("I4: ticket %d of lane %s, epoch %d, is answered behind %d", t.number, t.lane, t.epoch, c.answers[t.laneKey])
		}
		c.answers[t.laneKey] = t.number
		delete(c.open, t)
		maps.DeleteFunc(c.released, func(r release, _ struct{}) bool { return r.ticket == t })
	})
}

// acked checks an acknowledgement that reaches its client.
func (w *world) acked(a answer) {
	w.see(a, func(c *checks) {
		at, there := c.places[key(a.client, a.batch)]
		if !there || at != a.offset {
			w.violated("I6: batch %d of client %d is acknowledged at offset %d; it is in the log: %t, at %d", a.batch, a.client, a.offset, there, at)
		}
	})
}

// end checks what must be once faults have ended long ago.
func (w *world) end() {
	for i := range w.clients {
		c := &w.clients[i]
		for n := range c.batches {
			if _, there := w.checks.places[key(c.number, n)]; !there && c.window != nil {
				w.violated("batch %d of client %d is not in the log", n, c.number)
			}
		}
		if c.window != nil && c.acked < c.batches {
			w.violated("client %d makes no progress: %d of %d batches are acknowledged", c.number, c.acked, c.batches)
		}
	}
	if w.givenUp > 0 && w.scope.Beats == 0 {
		w.violated("I3: %d tickets were given up and answered OUTCOME_UNKNOWN, where heartbeats could repair everything", w.givenUp)
	}
	for i := range w.processes {
		switch p := &w.processes[i]; {
		case p.dead || p.open == 0:
		case p.role == Frontend:
			w.violated("I3: %s has %d tickets that are not resolved", p, p.open)
		case p.role == Sequencer:
			w.violated("%s has %d lanes left", p, p.open)
		}
	}
	for t := range w.checks.open {
		if w.alive(t.epoch) {
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
