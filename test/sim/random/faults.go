package random

import (
	"slices"
	"time"

	replicator "laneway.dev/services/replicator/core"
	"laneway.dev/test/sim/check"
	"laneway.dev/test/sim/world"
)

// longestHang is so long that lanes are forgotten meanwhile.
const longestHang = 2 * laneExpiry

// settling is how long the consequences of faults may last: the longest hang, and the work
// of other processes that follows it.
const settling = longestHang + 2*time.Second

// sparse is by how many seconds the clock is set back whenever the registry is lost, so that
// its epochs start below those that services and the log know.
const sparse = 1000

// epochClock returns the time at which epochs start after the registry was lost for the nth
// time.
func epochClock(n int) time.Time { return time.Unix(int64(mostDisturbances-n)*sparse, 0) }

// disturbance is a kind of what goes wrong, and its weight.
type disturbance struct {
	weight int
	do     func()
}

// disturbances plans what goes wrong in a run.
func (r *run) disturbances() {
	m := &r.config.Mix
	weights := []disturbance{
		{m.Crash, r.crash},
		{m.Hang, r.hang},
		{m.Zombie, r.zombie},
		{m.Cut, r.cutOff},
		{m.LeaderChange, r.loseLeader},
		{m.ClientRestart, func() { r.restart(r.named(), true) }},
		{m.ClientZombie, func() { r.restart(r.named(), false) }},
		{m.NameLost, func() { r.loseName(r.named(), r.chance(0.5)) }},
		{m.Disconnect, func() { r.disconnect(pick(r, r.clients), r.between(0, 3*time.Second)) }},
		{m.Disconnect, r.disconnectConsumer},
		{m.Disconnect, r.disconnectFrontend},
		{m.EpochsLost, r.loseEpochs},
		{m.LimitChange, r.changeLimits},
		{m.SnapshotsLost, r.loseSnapshots},
	}
	if r.retains {
		weights = append(weights, disturbance{m.Retention, r.changeRetention}, disturbance{m.Truncate, r.truncate})
	}
	total := 0
	for _, x := range weights {
		total += x.weight
	}
	if total == 0 {
		return // what goes wrong are messages and uploads
	}
	for range fewest + r.rng.IntN(mostDisturbances-fewest+1) {
		n := r.rng.IntN(total)
		for _, x := range weights {
			if n < x.weight {
				do := r.unlessLeftOut(x.do)
				r.after(r.between(0, r.config.ActiveTime), do)
				break
			}
			n -= x.weight
		}
	}
}

// crash ends a process of any role, and starts another one after a while.
func (r *run) crash() {
	role := r.role()
	all := r.Living(role)
	if len(all) == 0 {
		return
	}
	r.counts.Crashes++
	r.Die(pick(r, all), "killed")
	r.after(r.between(10*time.Millisecond, 1500*time.Millisecond), func() { r.start(role) })
}

// role draws a role.
func (r *run) role() world.Role { return pick(r, r.roles()) }

// roles returns the roles of the run.
func (r *run) roles() []world.Role {
	if r.config.Mix.Archive {
		return append(slices.Clip(world.Roles), world.Archiver)
	}
	return world.Roles
}

func (r *run) hang() {
	if all := r.Living(r.role()); len(all) > 0 {
		longest := 5 * time.Second
		if r.chance(0.2) {
			longest = longestHang
		}
		r.hangs(pick(r, all), r.between(300*time.Millisecond, longest))
	}
}

// hangs stops a process for a while, unless it hangs already.
func (r *run) hangs(p *world.Process, d time.Duration) {
	if r.Hanging(p) {
		return
	}
	r.counts.Hangs++
	r.Hang(p, d)
	r.after(d, func() { r.Wake(p) })
}

// named draws a named client.
func (r *run) named() *client {
	var named []*client
	for _, c := range r.clients {
		if c.named {
			named = append(named, c)
		}
	}
	return pick(r, named)
}

// zombie starts another process of a role whose owner lives. The owner may hang first. It
// notices later that it was replaced.
func (r *run) zombie() {
	role := []world.Role{world.Frontend, world.Sequencer, world.Replicator}[r.rng.IntN(3)]
	r.counts.Zombies++
	if all := r.Living(role); len(all) > 0 && r.chance(0.5) {
		r.hangs(pick(r, all), r.between(300*time.Millisecond, 4*time.Second))
	}
	r.start(role)
}

// loseEpochs loses the registry, so that epochs start again, and kills most frontends and
// sequencers.
func (r *run) loseEpochs() {
	r.counts.EpochsLost++
	r.Say("the epochs are lost")
	r.Registry.Lose(epochClock(r.counts.EpochsLost))
	for _, role := range []world.Role{world.Frontend, world.Sequencer} {
		for _, p := range r.Living(role) {
			if r.chance(0.7) {
				r.Die(p, "killed")
			}
		}
		if len(r.Living(role)) == 0 {
			r.after(r.between(10*time.Millisecond, 500*time.Millisecond), func() { r.start(role) })
		}
	}
}

// changeLimits updates the limits of the topic. The expiry stays above the time for which a
// client sends a batch again.
func (r *run) changeLimits() {
	m := &r.config.Mix
	r.counts.LimitChanges++
	r.setTopic(replicator.Limits{ProducerExpiry: m.Memory * time.Duration(2+r.rng.IntN(3)) / 2, MaxProducers: 1 + r.rng.IntN(m.MaxProducers+2)})
}

// setTopic sets the limits of the topic. Replicators that start know them, and others learn
// of them soon.
func (r *run) setTopic(l replicator.Limits) {
	r.Say("the topic remembers %d producers for %s", l.MaxProducers, l.ProducerExpiry)
	r.topic = l
	for _, p := range r.Living(world.Replicator) {
		r.after(r.between(0, 2*time.Second), func() { r.results(p, func() world.Event { return r.topic }) })
	}
}

// results hands an event for each partition to a process.
func (r *run) results(p *world.Process, e func() world.Event) {
	for _, of := range r.Partitions {
		r.Result(p, of, e())
	}
}

// cutOff keeps two processes from reaching each other, in one direction or both.
func (r *run) cutOff() {
	a, b := r.Living(r.role()), r.Living(r.role())
	if len(a) == 0 || len(b) == 0 {
		return
	}
	r.counts.Cuts++
	x, y := pick(r, a), pick(r, b)
	until := r.Now.Add(r.between(200*time.Millisecond, 3*time.Second))
	r.cuts[link{x.Number, y.Number}] = until
	what := "%s does not reach %s for %s"
	if r.chance(0.5) {
		r.cuts[link{y.Number, x.Number}] = until
		what = "%s and %s do not reach each other for %s"
	}
	r.Say(what, x, y, until.Sub(r.Now).Round(time.Millisecond))
}

// fewest is how many faults a run of a campaign has at least.
const fewest = 3

// enough adds crashes until the run has as many faults as it needs, because a planned fault
// may have found nothing to disturb.
func (r *run) enough() {
	for tries := 0; r.planned > 0 && r.counts.Faults() < r.config.Faults && tries < 100; tries++ {
		r.crash()
	}
}

// recover ends all faults, and starts a process for each role that has none. A process that
// hangs continues at its planned time.
func (r *run) recover() {
	r.enough()
	r.Say("faults end")
	r.calm = true
	for i := range r.streams {
		r.streams[i].doomed = false
	}
	r.World.See(check.All, check.Calm{})
	if m := &r.config.Mix; m.LimitChange > 0 {
		r.setTopic(replicator.Limits{ProducerExpiry: m.Memory, MaxProducers: m.MaxProducers})
	}
	r.restoreSnapshots()
	r.tellGeneration()
	r.tellRetention()
	for _, role := range r.roles() {
		if len(r.Living(role)) == 0 {
			r.start(role)
		}
	}
}
