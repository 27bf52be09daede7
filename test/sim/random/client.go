package random

import (
	"fmt"
	"slices"
	"time"

	"laneway.dev/pkg/delivery"
	"laneway.dev/pkg/protocol"
	"laneway.dev/test/sim/world"
)

// mostRecords is the largest number of records in a batch. A source has this many records for
// each batch that its client must send at least.
const mostRecords = 2

// client is what a client does, and when.
type client struct {
	*world.Client
	named    bool
	repeats  bool // a plain one that names its batches, and sends again what is not acknowledged
	restarts bool // it continues in the next epoch when most is done, without a fence
	resting  bool // until it is forgotten
	rested   bool
	done     bool
	waking   map[int]time.Time    // by instance: when its window is looked at next
	waiting  map[delivery.ID]bool // attempts of a plain client that have neither an answer nor timed out
}

// partitionOf returns the index of the partition of a client, so that clients of the same kind are on
// different ones.
func (r *run) partitionOf(n int) int {
	switch len(r.Partitions) {
	case 1:
		return 0
	case 2:
		return n % 2
	default:
		return (n + n/3) % 3
	}
}

// newClient returns a client of a run. Clients 0 to 3 are of different kinds; further ones
// are named or idempotent.
func (r *run) newClient(n int) *client {
	c := &client{Client: &world.Client{Number: n, Partition: r.partitionOf(n), ID: int64(n) + 1, Records: r.config.Batches * mostRecords}, waking: map[int]time.Time{}, waiting: map[delivery.ID]bool{}}
	switch n {
	case 0:
		c.Plain = true
	case 1:
		c.restarts = true
	case 2:
		c.named = true
	case 4:
		c.named = len(r.Partitions) == 1 // else it is client 1 on another partition
	case 3:
		c.Plain, c.repeats = true, true
	}
	if c.named {
		r.name(c)
	}
	if r.chance(0.5) {
		c.Start = 1<<31 - 1 - int32(r.rng.IntN(60)) // sequences wrap
	}
	if c.named {
		c.Start = 0 // init returns no position while the name is new
	}
	c.Lane = world.Lane(n, c.ID, c.Plain)
	if twin := r.twin(c); twin != nil {
		c.ID, c.Lane = twin.ID, twin.Lane
	}
	return c
}

// twin returns an earlier client on another partition that is the same one to services: the same
// producer, or on the same connection. nil is none.
func (r *run) twin(c *client) *client {
	for _, twin := range r.clients {
		same := func(o *client) bool { return o.Lane == twin.Lane && o.Partition == c.Partition }
		if !c.named && !twin.named && c.Plain == twin.Plain && c.Partition != twin.Partition && !slices.ContainsFunc(r.clients, same) {
			return twin
		}
	}
	return nil
}

// name gives a client a name that is new to the registry.
func (r *run) name(c *client) { c.Name = world.NewName(fmt.Sprint("client-", c.Number), c.ID) }

// current returns the newest instance of a client; nil is none yet.
func (r *run) current(c *client) *world.Instance { return r.Current(c.Client) }

// begin starts the next instance of a client. The instance of a named client first asks for
// its epoch and position.
func (r *run) begin(c *client) {
	if r.Partitions[c.Partition].Deleted {
		return
	}
	i := r.Connect(c.Client)
	switch {
	case c.Plain:
		r.stepPlain(c, i)
	case !c.named:
		r.open(c, i, c.Start)
	default:
		r.init(c, i)
	}
}

// open makes the window of an instance that continues at a sequence.
func (r *run) open(c *client, i *world.Instance, first int32) {
	settings := world.WindowSettings{
		Instance: i.Index, Client: c.Number, Partition: c.Partition, Lane: c.Lane, ID: i.ID, Epoch: i.Epoch, Start: c.Start, First: first, Records: c.Records,
		Size: func(left int) int { return min(1+r.rng.IntN(mostRecords), left) },
		Delivery: delivery.Settings{
			Random: r.rng.Float64, DeliveryTimeout: time.Hour,
			MinAttemptTimeout: attemptTimeout, MaxAttemptTimeout: 2 * deadline, MaxBackoff: 300 * time.Millisecond,
		},
	}
	if r.config.Mix.Memory > 0 {
		settings.Delivery.MaxAttemptTimeout, settings.Delivery.MaxBackoff = deadline, 2*time.Second
	}
	i.Window = &world.Live{Core: world.NewWindow(settings)}
	r.StepWindow(i)
	r.Say("%s starts in epoch %d at record %d", i, i.Epoch, i.Next)
	r.step(c, i)
}

// init requests the next epoch of a named client, which also fences the earlier instances. It
// repeats the request until it is answered.
func (r *run) init(c *client, i *world.Instance) {
	if i.Dead || i.Window != nil {
		return
	}
	r.after(deadline, func() { r.init(c, i) })
	all := r.Living(world.Frontend)
	if len(all) == 0 {
		return
	}
	p := pick(r, all)
	r.awake(p, func() {
		if !i.Dead { // the registry would take it for the youngest instance, if it comes that late
			r.InitProducer(p, i, func(first int32) { r.open(c, i, first) })
		}
	})
}

// step fills the window and sends what it wants to send.
func (r *run) step(c *client, i *world.Instance) {
	switch {
	case i.Dead:
		return
	case c.Plain:
		r.stepPlain(c, i)
		return
	case r.restarted(c, i):
		return
	}
	until := c.Records
	if r.restsLater(c) {
		until = c.Records / 2
	}
	if c.restarts {
		until = min(until, restartAt(c))
	}
	for _, q := range r.StepWindow(i, world.Send{Until: until}) {
		if q.ID.Attempt > 0 {
			r.counts.Resent++
		}
		r.request(i, q)
	}
	r.rest(c, i)
	if r.failed(i) || r.restarted(c, i) {
		return
	}
	c.done = c.done || i.Acked == c.Records
	if !i.Wake.IsZero() && !i.Wake.Equal(c.waking[i.Index]) {
		c.waking[i.Index] = i.Wake
		r.after(max(0, i.Wake.Sub(r.Now)), func() { r.step(c, i) })
	}
}

// failed reports whether an instance has failed, and counts that.
func (r *run) failed(i *world.Instance) bool {
	if i.Dead {
		r.counts.ClientsFenced++
	}
	return i.Dead
}

// restartAt returns the record at which a client stops sending until it has started its next
// epoch.
func restartAt(c *client) int { return c.Records * 3 / 4 }

// restarted starts the next instance, at sequence 0, once everything that this one has sent
// is acknowledged. It reports whether it did.
func (r *run) restarted(c *client, i *world.Instance) bool {
	if !c.restarts || i.Next < restartAt(c) || i.Acked != i.Next {
		return false
	}
	c.restarts, i.Dead = false, true
	r.counts.EpochsBegun++
	c.Start = protocol.AddSequence(0, -int64(i.Next))
	next := r.Connect(c.Client)
	next.Epoch = i.Epoch + 1
	r.open(c, next, 0)
	return true
}

// restsLater reports whether a client stops sending at half of its records until it has
// rested. Named clients do not rest, because init does not return a position that was
// forgotten.
func (r *run) restsLater(c *client) bool { return r.config.Mix.Memory > 0 && !c.rested && !c.named }

// rest lets an instance pause at half of its records, for so long that the replicator forgets
// its producer or its message ids. Everything that it has sent must be answered first,
// because a retry after the pause would not be recognized.
func (r *run) rest(c *client, i *world.Instance) {
	idle := i.Acked == i.Next
	if c.Plain {
		idle = len(c.waiting) == 0
	}
	if !r.restsLater(c) || c.resting || i.Next < c.Records/2 || !idle {
		return
	}
	c.resting = true
	r.counts.Rests++
	r.Say("%s rests", i)
	r.after(r.config.Mix.Memory+r.between(time.Second, 4*time.Second), func() {
		c.rested = true
		r.step(c, i)
	})
}

// restart replaces the instance of a named client. The old instance dies, or continues as if
// nothing had happened.
func (r *run) restart(c *client, oldDies bool) {
	i := r.current(c)
	if c.done || i == nil {
		return
	}
	r.counts.ClientRestarts++
	r.Say("%s is replaced, and %s", i, map[bool]string{true: "dies", false: "continues"}[oldDies])
	i.Dead = i.Dead || oldDies || i.Window == nil
	r.begin(c)
}

// loseName loses the record of a named client, so that its next instance gets another id. It
// does nothing while an init is unanswered: only after it does the replicator know the name.
func (r *run) loseName(c *client, oldDies bool) {
	if i := r.current(c); c.done || i == nil || i.Window == nil {
		return
	}
	r.counts.NamesLost++
	r.Say("the record of client-%d is lost", c.Number)
	c.ID += int64(r.config.Clients)
	r.Bounds.Producers++
	r.name(c)
	r.restart(c, oldDies)
}

// disconnect disconnects a client with a producer id for a while. Its window treats
// the outcomes of the attempts in flight as unknown. Plain clients have no window, and stay
// connected.
func (r *run) disconnect(c *client, d time.Duration) {
	i := r.current(c)
	if i == nil || i.Window == nil || i.Dead {
		return
	}
	r.counts.Disconnects++
	r.Say("%s is disconnected for %s", i, d.Round(time.Millisecond))
	r.Disconnect(i)
	r.after(d, func() {
		r.Reconnect(i)
		r.step(c, i)
	})
}
