// Package member is the part that one instance takes in the assignment of its role's logs. It keeps the
// instance's key, watches the keys of the others, and replaces the record of the role when
// package assignment says so.
//
// The keys and the record are in a bucket whose leader may be away, may answer late or not at all, may
// expire all keys when it returns, and may have been restored from a copy. So:
//
//   - A member is gone once its key was absent in every look for a whole TTL of this instance's clock, during
//     all of which this instance's lease was fresh: while the bucket is away, nobody's key can be renewed. No
//     member says of itself that it is gone.
//   - The record is written right after the look that shows a reason, and by compare-and-set. The members
//     take turns: the first in the order of their names writes at once, each further one somewhat later.
//   - What a member wants to change stays wanted until a look shows that it was changed, or makes no sense any
//     more. So nothing follows from a write that has no answer: it may land late, as long as nobody else writes.
//   - A record of a lower version than a member knows was lost, or restored from a copy. Whoever knows the highest
//     version of all writes its own again, above both.
//   - What an instance says that does not stand in a log, it says only as long as its lease is fresh:
//     [Lease.May]. An instance whose lease was stale writes the record unchanged before it is fresh again.
//
// None of this is needed for safety, which comes from the logs.
package member

import (
	"slices"
	"time"

	"laneway.dev/internal/core/assignment"
)

// Time is a time by both clocks of a machine. The monotonic one stands still while the machine is suspended, and
// the one of the wall may be set.
type Time struct {
	Mono time.Duration
	Wall time.Time
}

// within reports whether less than d has passed since t, by both clocks.
func (now Time) within(d time.Duration, t Time) bool {
	return now.Mono-t.Mono < d && now.Wall.Sub(t.Wall) < d
}

// Settings are fixed for the life of an instance.
type Settings struct {
	// Instance is the name of the instance. Each start MUST have another one.
	Instance string
	// Process is what the names of all instances begin with that ran in the place of this one before, and
	// have surely ended; empty if nothing proves that.
	Process string
	Logs    int           // of the cluster
	TTL     time.Duration // of a key; it is renewed every third of that
}

// Key is what the key of a member says.
type Key struct {
	Rule     uint32
	Draining bool
	Knows    uint64 // the version of the record that the member knows
}

// Owned is a log that an instance owns, and its epoch there.
type Owned struct {
	Log   int
	Epoch uint64
}

// Events.
type (
	// Event is one of these types.
	Event any

	// Renewed answers Renew: the key has this revision.
	Renewed struct{ Revision uint64 }
	// NotRenewed answers Renew. Refused is set if the key has another revision; else the key may have been renewed.
	NotRenewed struct{ Refused bool }
	// Looked answers Look. All of it was read from the leader after Look was asked for.
	Looked struct {
		Keys     []Found
		Record   assignment.Record // its version is 0 if there is none
		Revision uint64            // of the record
	}
	// Found is the key of a member.
	Found struct {
		Instance string
		Key      Key
		Revision uint64
	}
	// NotLooked answers Look.
	NotLooked struct{}
	// Written answers Write.
	Written struct{}
	// NotWritten answers Write: the record has another revision, or there was no answer.
	NotWritten struct{}

	// Raise asks for an epoch of a log above one by which the instance was fenced.
	Raise struct {
		Log   int
		Above uint64
	}
	// GiveUp says that the instance cannot work on a log that it owns in this epoch.
	GiveUp struct {
		Log   int
		Epoch uint64
	}
	// Able says that the instance, which has given a log up, may get it again.
	Able struct{ Log int }
	// GiveAway gives a log to the one that is next. The instance MUST have ended its work on it.
	GiveAway struct {
		Log int
		To  string
	}
	// Keep ends the hand-over of a log that the instance owns.
	Keep struct{ Log int }
	// Drain says that the instance is to hand over all that it owns.
	Drain struct{}
	// Hint says that another member has written the record.
	Hint struct{}
)

// Effects of a step. At most one of each is under way, and each MUST be answered; one that has no answer in
// a third of the TTL has failed.
type Effects struct {
	Renew *Renew
	Look  bool
	Write *Write
	// Changed says that what the instance owns, or is next for, is other than before: see Owned and Next.
	Changed bool
}

// Renew asks for a renewal of the key: it is to be replaced if its revision is this one, 0 if there is none.
type Renew struct {
	Key    Key
	Expect uint64
}

// Write asks for the record to be replaced if its revision is this one, 0 if there is none.
type Write struct {
	Record assignment.Record
	Expect uint64
}

// Core is the part of one instance. It belongs to one goroutine.
type Core struct {
	settings Settings
	now      Time
	fx       Effects
	draining bool

	revision uint64 // of the key; 0 if there is none
	renewing bool
	renewDue bool
	sent     Time // the last renewal
	member   bool // whether a renewal was acknowledged since the start
	lease    Time // when the last one of these was sent
	ackedAt  Time // when that became known
	// confirmed is set if nothing that the instance knows to own can be another one's since its lease is fresh.
	confirmed bool

	looking bool
	lookAt  Time // when the last look was asked for
	lookDue bool
	others  map[string]*other
	changed time.Duration // when the last member came or went

	record  assignment.Record
	writing *Write
	broken  time.Duration // since when the record is to be replaced; negative if it is not
	asked   []Event       // by the actors of this instance, and not written yet
}

// other is what is known of another member, or of an owner that the record names.
type other struct {
	key    Key
	absent bool
	since  time.Duration // that it is absent, while the lease of this instance is fresh
}

// New returns the part of an instance that has just started.
func New(settings Settings) *Core {
	return &Core{settings: settings, others: make(map[string]*other), broken: -1, renewDue: true, lookDue: true}
}

// Step takes in what has happened. It MUST be called at least six times in each TTL. While the actors of the
// instance take no turns, its caller MUST answer Renew by NotRenewed, so that the key expires.
func (c *Core) Step(now Time, events []Event) Effects {
	c.fx = Effects{}
	c.now = now
	if !c.fresh() {
		c.confirmed = false
		for _, o := range c.others {
			o.since = now.Mono // at the earliest
		}
	}
	for _, e := range events {
		c.handle(e)
	}
	c.renew()
	c.look()
	return c.fx
}

func (c *Core) handle(e Event) {
	switch e := e.(type) {
	case Renewed:
		c.renewing = false
		c.renewed(e.Revision)
	case NotRenewed:
		c.renewing = false
		if e.Refused {
			c.lookSoon() // it shows why
		}
	case Looked:
		c.looking = false
		c.looked(e)
	case NotLooked:
		c.looking = false
	case Written:
		c.written()
	case NotWritten:
		c.writing = nil
		c.lookSoon()
	case Drain:
		c.draining = true
		c.renewSoon()
	case Hint:
		c.lookSoon()
	case Raise, GiveUp, Able, GiveAway, Keep:
		if slices.Contains(c.asked, e) {
			return // an actor may ask again and again while the bucket is away
		}
		c.asked = append(c.asked, e)
		c.fx.Changed = true
		c.lookSoon() // a write follows a look
	}
}

// Owned returns the logs that the instance owns as far as it knows, but for those that it has given up or is
// giving away.
func (c *Core) Owned() (owned []Owned) {
	for n, l := range c.record.Logs {
		if l.OwnedBy(c.settings.Instance) && !c.leaves(n) {
			owned = append(owned, Owned{Log: n, Epoch: l.Epoch})
		}
	}
	return owned
}

// leaves reports whether the instance has asked to own a log no longer.
func (c *Core) leaves(log int) bool {
	return slices.ContainsFunc(c.asked, func(e Event) bool {
		switch e := e.(type) {
		case GiveAway:
			return e.Log == log
		case GiveUp:
			return e.Log == log
		}
		return false
	})
}

// Takers reports whether another member may get logs.
func (c *Core) Takers() bool {
	for _, o := range c.others {
		if !o.absent && !o.key.Draining {
			return true
		}
	}
	return false
}

// Record returns the record as far as the instance knows it.
func (c *Core) Record() assignment.Record { return c.record }

// looked takes in the keys and the record, and replaces the record if there is a reason.
func (c *Core) looked(e Looked) {
	c.foundOwn(e.Keys)
	known := c.record.Version
	if e.Record.Version > known {
		c.learn(e.Record)
	}
	c.foundOthers(e.Keys, known)
	if c.fresh() && assignment.May(c.members()) {
		c.decide(e)
	}
}

// learn takes in a record.
func (c *Core) learn(r assignment.Record) {
	before := c.record
	c.record = r
	concerns := func(r assignment.Record, n int) (l assignment.Log) {
		if n < len(r.Logs) && (r.Logs[n].Owner == c.settings.Instance || r.Logs[n].Next == c.settings.Instance) {
			l = r.Logs[n]
		}
		return l
	}
	for n := range max(len(before.Logs), len(r.Logs)) {
		was, is := concerns(before, n), concerns(r, n)
		if was.Owner != is.Owner || was.Epoch != is.Epoch || was.Next != is.Next || !slices.Equal(was.Failed, is.Failed) {
			c.fx.Changed = true
		}
	}
}

func (c *Core) renewSoon() { c.renewDue = true }
func (c *Core) lookSoon()  { c.lookDue = true }

func (c *Core) look() {
	if c.looking || c.writing != nil || !c.lookDue && c.now.Mono-c.lookAt.Mono < c.every() {
		return
	}
	c.looking, c.lookDue, c.lookAt, c.fx.Look = true, false, c.now, true
}
