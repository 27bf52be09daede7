package sim

import (
	"bytes"
	"strconv"

	"laneway.dev/pkg/messages"
)

// ownerView is what a replicator may know of itself. It is forgotten when the
// replicator begins to read the log again.
type ownerView struct {
	sent    int              // appends
	acked   int              // the newest append that was acknowledged to it
	reached map[ticket]reach // when a ticket was first released to it
}

// reach is how far things were.
type reach struct {
	sent int   // appends that the owner had sent
	end  int64 // of the log
}

func (c *checks) view(p *process) *ownerView {
	v := c.owners[p]
	if v == nil {
		v = &ownerView{reached: map[ticket]reach{}}
		c.owners[p] = v
	}
	return v
}

// released notes that a release has reached a replicator that leads.
func (c *checks) released(p *process, r messages.Release) {
	v := c.view(p)
	for i := range r.Batches {
		t := ticket{laneKey{r.Epoch, r.Batches[i].Lane}, r.Batches[i].Number}
		if _, known := v.reached[t]; !known {
			v.reached[t] = reach{v.sent, c.nextOffset}
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
	case o.Code != messages.CodeOK:
		c.judged(p, i, o)
	case o.Duplicate:
		if o.Offset >= c.newest {
			c.w.counts.Joined++ // what it repeats was in flight with it
		}
		if at, there := c.places[recordKey{i.key.client, i.key.first}]; !there || at != o.Offset || i.logged {
			c.w.violated("I6: %s calls %s a duplicate of offset %d; its first record is in the log: %t, at %d", p, t, o.Offset, there, at)
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
	at, known := v.reached[i.ticket]
	if !known || v.acked <= at.sent {
		c.w.violated("I8: %s refuses %s with %s; released to it: %t, appends sent before that: %d, acknowledged up to: %d",
			p, i.ticket, codeName(o.Code), known, at.sent, v.acked)
	}
	if o.Code == messages.CodeWrongLastSequence {
		if tail, err := strconv.ParseInt(o.Detail, 10, 64); err != nil || tail < at.end || tail > c.nextOffset || uint64(tail) == i.expect.Sequence {
			c.w.violated("expectation: %s refuses %s, which expects %d, with %q; the log's end came from %d to %d",
				p, i.ticket, i.expect.Sequence, o.Detail, at.end, c.nextOffset)
		}
	}
	i.refused = true // whoever is told may be gone, or have its answer already
}
