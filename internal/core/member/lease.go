package member

import (
	"slices"
	"time"

	"laneway.dev/internal/core/assignment"
)

// every is the time between two renewals, and between two looks.
func (c *Core) every() time.Duration { return c.settings.TTL / 3 }

// fresh reports whether the lease is fresh.
func (c *Core) fresh() bool { return c.member && c.now.within(c.settings.TTL, c.lease) }

// Lease says until when an instance may say what does not stand in a log. It is immutable.
type Lease struct {
	from      Time
	ttl       time.Duration
	confirmed bool
}

// Lease returns the lease as it is since the last step.
func (c *Core) Lease() Lease {
	return Lease{from: c.lease, ttl: c.settings.TTL, confirmed: c.confirmed}
}

// May reports whether the instance may say now what does not stand in a log: that a request is refused or
// has failed. now MUST be read after the request was received.
func (l Lease) May(now Time) bool { return l.confirmed && now.within(l.ttl, l.from) }

// Age returns for how long the lease was not renewed, or how long the instance has existed if it never was.
func (l Lease) Age(now Time) time.Duration { return now.Mono - l.from.Mono }

func (c *Core) renew() {
	if c.renewing || !c.renewDue && c.now.Mono-c.sent.Mono < c.every() {
		return
	}
	c.renewing, c.renewDue, c.sent = true, false, c.now
	c.fx.Renew = &Renew{Key: Key{Rule: assignment.Rule, Draining: c.draining, Knows: c.record.Version}, Expect: c.revision}
}

func (c *Core) renewed(revision uint64) {
	c.revision, c.lease, c.ackedAt = revision, c.sent, c.now
	if !c.member {
		c.member = true
		c.lookSoon()
	}
}

// foundOwn takes in what the bucket says of the instance's own key.
func (c *Core) foundOwn(keys []Found) {
	if c.renewing || c.member && c.ackedAt.Mono >= c.lookAt.Mono {
		return // the look may be from before the renewal
	}
	at := slices.IndexFunc(keys, func(f Found) bool { return f.Instance == c.settings.Instance })
	switch {
	case at < 0:
		// It has expired, or was lost. What the instance owns may be another one's meanwhile.
		if c.revision != 0 {
			c.confirmed = false
			c.renewSoon()
		}
		c.revision = 0
	case keys[at].Revision != c.revision:
		c.revision = keys[at].Revision // a renewal was not acknowledged
		c.renewSoon()
	}
}
