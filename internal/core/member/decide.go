package member

import (
	"slices"

	"laneway.dev/internal/core/assignment"
)

// decide replaces the record that a look has found, if there is a reason.
func (c *Core) decide(found Looked) {
	for _, o := range c.others {
		if !o.absent && o.key.Knows > c.record.Version {
			return // it knows better
		}
	}
	next := c.record
	differs := found.Record.Version != next.Version || found.Record.By != next.By
	if !differs && len(c.asked) > 0 {
		next, differs = c.answered(next)
	}
	if !differs {
		next, differs = c.byRule(next)
	}
	if !differs && !c.confirmed { // what it owns may be another one's, unless a write says that it is not
		c.confirmed = len(c.Owned()) == 0
		differs = !c.confirmed
	}
	if differs {
		next = next.NotBelow(uint64(max(0, c.now.Wall.Unix())), c.record)
		next.Version, next.By = c.record.Version+1, c.settings.Instance
		c.writing = &Write{Record: next, Expect: found.Revision}
		c.fx.Write = c.writing
	}
}

// answered returns the record with what the actors of the instance have asked for, as far as it still
// makes sense.
func (c *Core) answered(r assignment.Record) (assignment.Record, bool) {
	c.asked = slices.DeleteFunc(c.asked, func(e Event) bool {
		next, differs := c.change(r, e)
		if differs {
			r = next
		} else {
			c.fx.Changed = true
		}
		return !differs
	})
	return r, len(c.asked) > 0
}

// change returns the record with what an actor has asked for, and whether it differs: what was asked for may make no
// sense any more, or be done.
func (c *Core) change(r assignment.Record, e Event) (next assignment.Record, differs bool) {
	own := func(log int) (l assignment.Log) {
		if log < len(r.Logs) && r.Logs[log].Owner == c.settings.Instance {
			l = r.Logs[log]
		}
		return l
	}
	switch e := e.(type) {
	case Raise:
		if l := own(e.Log); l.Owner != "" && l.Epoch <= e.Above {
			return r.Raised(e.Log, e.Above), true
		}
	case GiveUp:
		if l := own(e.Log); l.Owner != "" && l.Epoch == e.Epoch && !slices.Contains(l.Failed, l.Owner) {
			return r.GivenUp(e.Log), true
		}
	case Able:
		if e.Log < len(r.Logs) && r.Logs[e.Log].Owner != c.settings.Instance && slices.Contains(r.Logs[e.Log].Failed, c.settings.Instance) {
			return r.Able(e.Log, c.settings.Instance), true
		}
	case GiveAway:
		if l := own(e.Log); l.Next != "" && l.Next == e.To {
			return r.GivenAway(e.Log), true
		}
	case Keep:
		if l := own(e.Log); l.Next != "" {
			return r.Kept(e.Log), true
		}
	}
	return r, false
}

// byRule returns the record that a broken rule asks for, once it is this member's turn.
func (c *Core) byRule(r assignment.Record) (next assignment.Record, differs bool) {
	next, differs = r.Next(c.members(), c.settings.Logs, c.calm())
	if !differs {
		c.broken = -1
		return r, false
	}
	if c.broken < 0 {
		c.broken = c.now.Mono
	}
	if c.now.Mono-c.broken < c.settings.TTL/2*c.rank() {
		return r, false
	}
	return next, true
}

// written takes in that the record was written.
func (c *Core) written() {
	w := c.writing
	c.writing, c.broken = nil, -1
	c.confirmed = c.confirmed || c.fresh()
	c.learn(w.Record)
	if _, differs := c.answered(c.record); differs {
		c.lookSoon()
	}
}
