package member

import (
	"strings"
	"time"

	"laneway.dev/internal/core/assignment"
)

// foundOthers takes in which other members there are. known is the version of the record before this look.
func (c *Core) foundOthers(keys []Found, known uint64) {
	present := make(map[string]bool)
	for _, f := range keys {
		if f.Instance == c.settings.Instance || c.succeeds(f.Instance) {
			continue
		}
		present[f.Instance] = true
		o := c.others[f.Instance]
		if o == nil || o.absent {
			c.changed = c.now.Mono
		}
		c.others[f.Instance] = &other{key: f.Key}
	}
	for _, l := range c.record.Logs {
		for _, named := range []string{l.Owner, l.Next} {
			if named != "" && named != c.settings.Instance && c.others[named] == nil {
				c.others[named] = &other{}
			}
		}
	}
	for name, o := range c.others {
		switch {
		case present[name]:
		case c.succeeds(name):
			delete(c.others, name)
		case !o.absent, c.wrote(name, known):
			o.absent, o.since = true, c.lookAt.Mono
			c.changed = c.now.Mono
		case c.gone(o):
			delete(c.others, name)
		}
	}
}

// wrote reports whether a member may have written the record since a version that was known. If so, it
// was back between two looks, and may have a fresh lease.
func (c *Core) wrote(name string, known uint64) bool {
	return c.record.Version > known+1 || c.record.Version == known+1 && c.record.By == name
}

// succeeds reports whether this instance has the place of another one, which has ended.
func (c *Core) succeeds(name string) bool {
	return c.settings.Process != "" && strings.HasPrefix(name, c.settings.Process)
}

// gone reports whether a member that is absent is gone, as the look that has just come shows.
func (c *Core) gone(o *other) bool { return c.lookAt.Mono-o.since >= c.settings.TTL }

// members returns the members as package assignment needs them, in no particular order.
func (c *Core) members() []assignment.Member {
	all := []assignment.Member{{Instance: c.settings.Instance, Rule: assignment.Rule, Draining: c.draining}}
	for name, o := range c.others {
		all = append(all, assignment.Member{Instance: name, Rule: o.key.Rule, Draining: o.key.Draining, Silent: o.absent})
	}
	return all
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
