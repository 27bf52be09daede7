package member

import (
	"slices"
	"time"

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
	if !differs && !c.confirmed && len(c.Owned()) == 0 {
		c.confirmed = true
	} else if !differs && !c.confirmed {
		differs = true
	}
	if differs {
		next.Version, next.By = c.record.Version+1, c.settings.Instance
		c.writing = &Write{Record: next, Expect: found.Revision}
		c.fx.Write = c.writing
	}
}

// answered returns the record with what the actors of the instance have asked for, as far as it still
// makes sense.
func (c *Core) answered(r assignment.Record) (assignment.Record, bool) {
	c.asked = slices.DeleteFunc(c.asked, func(e Event) bool {
		change := c.change(r, e)
		if change == nil {
			c.fx.Changed = true
			return true
		}
		r = change()
		return false
	})
	return r, len(c.asked) > 0
}

// change returns what an actor has asked for; nil if it makes no sense any more, or was done.
func (c *Core) change(r assignment.Record, e Event) func() assignment.Record {
	own := func(log int) *assignment.Log {
		if log >= len(r.Logs) || r.Logs[log].Owner != c.settings.Instance {
			return &assignment.Log{}
		}
		return &r.Logs[log]
	}
	switch e := e.(type) {
	case Raise:
		if l := own(e.Log); l.Owner != "" && l.Epoch <= e.Above {
			return func() assignment.Record { return r.Raised(e.Log, e.Above) }
		}
	case GiveUp:
		if l := own(e.Log); l.Owner != "" && l.Epoch == e.Epoch && !slices.Contains(l.Failed, l.Owner) {
			return func() assignment.Record { return r.GivenUp(e.Log) }
		}
	case GiveAway:
		if l := own(e.Log); e.To != "" && l.Next == e.To {
			return func() assignment.Record { return r.GivenAway(e.Log) }
		}
	case Keep:
		if l := own(e.Log); l.Next != "" {
			return func() assignment.Record { return r.Kept(e.Log) }
		}
	}
	return nil
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

// rank returns how many members have their turn before this one.
func (c *Core) rank() (n time.Duration) {
	for name, o := range c.others {
		if !o.absent && name < c.settings.Instance {
			n++
		}
	}
	return n
}

// calm reports whether no member has come or gone for two TTLs.
func (c *Core) calm() bool {
	for _, o := range c.others {
		if o.absent {
			return false
		}
	}
	return c.now.Mono-c.changed >= 2*c.settings.TTL
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
