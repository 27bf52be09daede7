package sim

import (
	"bytes"
	"strconv"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/test/sim/describe"
)

// ownerView is what a replicator may know of itself. It is forgotten when the
// replicator begins to read the log again.
type ownerView struct {
	name      string
	sent      int               // appends
	acked     int               // the newest append that was acknowledged to it
	sequencer uint64            // the highest epoch that it was released something by
	reached   map[ticket]*reach // what was released to it
	floors    map[laneKey]floor // the highest ones that it was told
}

// reach is how far things were when a ticket was first released.
type reach struct {
	sent int   // appends that the owner had sent
	end  int64 // of the log
	open int   // how often it was released since, not resolved, less how often it was refused
}

// floor is that of a lane, with the time of the newest release.
type floor struct {
	number uint64
	heard  time.Time
}

func (c *checks) view(p *process) *ownerView {
	v := c.owners[p]
	if v == nil {
		v = &ownerView{name: p.String(), reached: map[ticket]*reach{}, floors: map[laneKey]floor{}}
		c.owners[p] = v
	}
	return v
}

// forget forgets what an owner knows that reads the log again.
func (v *ownerView) forget() {
	clear(v.reached)
	clear(v.floors)
}

// released notes that a release has reached a replicator that leads.
func (c *checks) released(p *process, m messages.Release) {
	v := c.view(p)
	stale := m.SequencerEpoch < max(v.sequencer, c.sequencer) // it is dropped, its floors too
	v.sequencer = max(v.sequencer, m.SequencerEpoch)
	for i := range m.Batches {
		t := ticket{laneKey{m.Epoch, m.Batches[i].Lane}, m.Batches[i].Number}
		at := v.reached[t]
		if at == nil {
			at = &reach{sent: v.sent, end: c.nextOffset}
			v.reached[t] = at
		}
		if t.number >= c.floorOf(v, t.laneKey, m.Batches[i].Floor, stale) {
			at.open++
		}
	}
}

// floorOf returns the highest floor of a lane that an owner knows, with the one that it
// is told now. It may forget a lane that it does not hear of, or has no room for.
func (c *checks) floorOf(v *ownerView, of laneKey, told uint64, stale bool) uint64 {
	known := v.floors[of]
	if c.w.now.Sub(known.heard) >= laneExpiry || c.w.config.Mix.MaxLanes > 0 {
		known.number = 0
	}
	if !stale {
		known = floor{max(known.number, told), c.w.now}
		v.floors[of] = known
	}
	return known.number
}

// mayAppend checks that an owner takes no ticket of which it knows that it is resolved.
func (c *checks) mayAppend(by string, t ticket) {
	for _, v := range c.owners {
		if at := v.reached[t]; v.name == by && at != nil && at.open == 0 {
			c.w.violated("I1: %s comes into the log; %s knew that it was resolved when it was released", t, by)
		}
	}
}

// said checks what a replicator says.
func (c *checks) said(p *process, m messages.Message) {
	switch m := m.(type) {
	case messages.Committed:
		if m.Sequence == 0 || m.Sequence > c.sequence || !bytes.Equal(m.Entry, c.w.log.data[m.Sequence-1]) {
			c.w.violated("log: %s announces an entry %d that is not the log's", p, m.Sequence)
		}
	case messages.Outcomes:
		for i := range m.Outcomes {
			o := &m.Outcomes[i]
			c.outcome(p, ticket{laneKey{m.Epoch, o.Lane}, o.Number}, o)
		}
	}
}

func (c *checks) outcome(p *process, t ticket, o *messages.Outcome) {
	i := c.issues[t]
	switch {
	case i == nil:
		c.w.violated("I3: %s answers %s, which was never issued", p, t)
	case o.Code != protocol.CodeOK:
		c.judged(p, i, o)
	case o.Duplicate:
		if o.Offset >= c.newest {
			c.w.counts.Joined++ // what it repeats was in flight with it
		}
		at, there := c.places[recordKey{i.key.client, i.key.first}]
		switch {
		case !there:
			c.w.violated("I6: %s calls %s a duplicate of offset %d; none of its records is in the log", p, t, o.Offset)
		case at != o.Offset:
			c.w.violated("I6: %s calls %s a duplicate of offset %d; its first record is at offset %d", p, t, o.Offset, at)
		case i.logged:
			c.w.violated("I6: %s calls %s a duplicate of offset %d, which is that very ticket", p, t, o.Offset)
		}
	case !i.logged || i.offset != o.Offset:
		c.w.violated("I6: %s answers %s with offset %d; it is in the log: %t, at %d", p, t, o.Offset, i.logged, i.offset)
	}
}

// judged checks that only the owner of the log judges: an append that it sent
// after the ticket had reached it is in the log, and acknowledged.
func (c *checks) judged(p *process, i *issue, o *messages.Outcome) {
	c.w.counts.Verdicts++
	v := c.view(p)
	at := v.reached[i.ticket]
	if at == nil {
		c.w.violated("I8: %s refuses %s with %s, which it has not heard of since it read the log", p, i.ticket, describe.Code(o.Code))
		return
	}
	if v.acked <= at.sent {
		c.w.violated("I8: %s refuses %s with %s; its %d appends before that are acknowledged up to the %dth, and none after it",
			p, i.ticket, describe.Code(o.Code), at.sent, v.acked)
	}
	if at.open--; at.open < 0 {
		c.w.violated("I3: %s refuses %s with %s; all that was released to it is answered or resolved", p, i.ticket, describe.Code(o.Code))
	}
	if o.Code == protocol.CodeWrongLastSequence {
		if tail, err := strconv.ParseInt(o.Detail, 10, 64); err != nil || tail < at.end || tail > c.nextOffset || uint64(tail) == i.expect.Sequence {
			c.w.violated("expectation: %s refuses %s, which expects %d, with %q; the log's end came from %d to %d",
				p, i.ticket, i.expect.Sequence, o.Detail, at.end, c.nextOffset)
		}
	}
	i.refused = true // whoever is told may be gone, or have its answer already
}
