package sim

import replicator "laneway.dev/services/replicator/core"

// end checks what must be once faults have ended long ago.
func (c *checks) end() {
	for _, cl := range c.w.clients {
		got := c.sources[cl.number]
		if !cl.done {
			c.w.violated("I7: client %d makes no progress: %d of %d records are in the log", cl.number, got, cl.records)
		}
		if !cl.plain && got != cl.records {
			c.w.violated("I6: client %d has %d of %d records in the log", cl.number, got, cl.records)
		}
	}
	for _, p := range c.w.processes {
		if !p.dead {
			c.left(p)
		}
	}
	c.still()
	c.replayed()
}

// left checks that a process keeps nothing of what is resolved.
func (c *checks) left(p *process) {
	n, what := 0, ""
	switch s := p.service.(type) {
	case *frontendService:
		n, what = s.core.Stats().Outstanding, "tickets"
		c.overdue(s)
	case *sequencerService:
		n, what = s.core.Stats().Lanes, "lanes"
	case *stagerService:
		n, what = int(s.core.Stats().Held), "bytes"
	case *replicatorService:
		if st := s.core.Stats(); c.w.config.Mix.Memory > 0 && st.Leading {
			n, what = st.Producers+st.IDs+st.Lanes, "producers, message ids and lanes"
		}
	}
	if n > 0 {
		c.w.violated("I3: %s is left with %d %s", p, n, what)
	}
}

// still checks that what was acknowledged is where it was.
func (c *checks) still() {
	at := make(map[recordKey]int64, len(c.places))
	for i := range c.w.log.committed {
		e := &c.w.log.committed[i].Entry
		offset := e.BaseOffset
		for k := range e.Batches {
			key := c.w.store.payloads[e.Batches[k].Extent]
			for n := range key.records {
				at[recordKey{key.client, key.first + n}] = offset
				offset++
			}
		}
	}
	for record, offset := range c.acks {
		if found, there := at[record]; !there || found != offset {
			c.w.violated("I6: record %d of client %d was acknowledged at offset %d; it is in the log: %t, at %d",
				record.record, record.client, offset, there, found)
		}
	}
}

// bounded checks that a core's memory follows what is there, not what ever was.
func (c *checks) bounded(p *process) {
	switch s := p.service.(type) {
	case *sequencerService:
		if st := s.core.Stats(); st.Lanes > len(c.w.clients) {
			c.w.violated("memory: %s keeps %d lanes of %d clients", p, st.Lanes, len(c.w.clients))
		}
	case *stagerService:
		if held := s.core.Stats().Held; held > s.bytes {
			c.w.violated("memory: %s holds %d bytes, allowed are %d", p, held, s.bytes)
		}
	case *replicatorService:
		c.boundedOwner(p, s.core.Stats())
	}
}

func (c *checks) boundedOwner(p *process, st replicator.Stats) {
	producers := len(c.w.clients) + c.w.counts.NamesLost // each has another id then
	if m := &c.w.config.Mix; m.Memory > 0 {
		producers = m.MaxProducers
	}
	if st.Lanes > len(c.w.clients) || st.Producers > producers || st.IDs > c.w.messageIDs {
		c.w.violated("memory: %s keeps %d lanes, %d producers, %d message ids, of %d clients and %d ids",
			p, st.Lanes, st.Producers, st.IDs, len(c.w.clients), c.w.messageIDs)
	}
}
