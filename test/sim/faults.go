package sim

import "time"

// longestHang is so long that lanes are forgotten meanwhile.
const longestHang = 2 * laneExpiry

// disturbances plans what goes wrong in a run.
func (w *world) disturbances() {
	m := &w.config.Mix
	weights := []struct {
		weight int
		do     func()
	}{
		{m.Crash, w.crash},
		{m.Hang, w.hang},
		{m.Zombie, w.zombie},
		{m.Cut, w.cutOff},
		{m.LeaderChange, w.log.loseLeader},
		{m.ClientRestart, func() { w.named().restart(true) }},
		{m.ClientZombie, func() { w.named().restart(false) }},
		{m.NameLost, func() { w.named().loseName(w.chance(0.5)) }},
		{m.Disconnect, func() { pick(w, w.clients).disconnect(w.between(0, 3*time.Second)) }},
		{m.EpochsLost, w.loseEpochs},
	}
	total := 0
	for _, x := range weights {
		total += x.weight
	}
	if total == 0 {
		return // what goes wrong are messages and uploads
	}
	for range fewest + w.rng.IntN(mostDisturbances-fewest+1) {
		n := w.rng.IntN(total)
		for _, x := range weights {
			if n < x.weight {
				do := w.unlessLeftOut(x.do)
				w.after(w.between(0, w.config.ActiveTime), do)
				break
			}
			n -= x.weight
		}
	}
}

// crash ends a process of any role, and starts another one after a while.
func (w *world) crash() {
	r := role(w.rng.IntN(int(roles)))
	all := w.living(r)
	if len(all) == 0 {
		return
	}
	w.counts.Crashes++
	pick(w, all).die("killed")
	w.after(w.between(10*time.Millisecond, 1500*time.Millisecond), func() { w.start(r) })
}

func (w *world) hang() {
	if all := w.living(role(w.rng.IntN(int(roles)))); len(all) > 0 {
		longest := 5 * time.Second
		if w.chance(0.2) {
			longest = longestHang
		}
		pick(w, all).hang(w.between(300*time.Millisecond, longest))
	}
}

// named draws a named client.
func (w *world) named() *client {
	var named []*client
	for _, c := range w.clients {
		if c.named {
			named = append(named, c)
		}
	}
	return pick(w, named)
}

// zombie starts a process of a role whose owner lives, and perhaps hangs, and finds
// out later.
func (w *world) zombie() {
	r := []role{frontendRole, sequencerRole, replicatorRole}[w.rng.IntN(3)]
	w.counts.Zombies++
	if all := w.living(r); len(all) > 0 && w.chance(0.5) {
		pick(w, all).hang(w.between(300*time.Millisecond, 4*time.Second))
	}
	w.start(r)
}

// loseEpochs takes away what is known of epochs, so that they begin anew, and
// perhaps who has them.
func (w *world) loseEpochs() {
	w.counts.EpochsLost++
	w.say("the epochs are lost")
	w.registry.lose(w.counts.EpochsLost)
	for _, r := range []role{frontendRole, sequencerRole} {
		for _, p := range w.living(r) {
			if w.chance(0.7) {
				p.die("killed")
			}
		}
		if len(w.living(r)) == 0 {
			w.after(w.between(10*time.Millisecond, 500*time.Millisecond), func() { w.start(r) })
		}
	}
}

// cutOff keeps two processes from hearing each other, in one direction or both.
func (w *world) cutOff() {
	a, b := w.living(role(w.rng.IntN(int(roles)))), w.living(role(w.rng.IntN(int(roles))))
	if len(a) == 0 || len(b) == 0 {
		return
	}
	w.counts.Cuts++
	x, y := pick(w, a), pick(w, b)
	until := w.now.Add(w.between(200*time.Millisecond, 3*time.Second))
	w.cuts[link{x.number, y.number}] = until
	what := "%s does not reach %s for %s"
	if w.chance(0.5) {
		w.cuts[link{y.number, x.number}] = until
		what = "%s and %s do not reach each other for %s"
	}
	w.say(what, x, y, until.Sub(w.now).Round(time.Millisecond))
}

// fewest is how many faults a run of a campaign has at least.
const fewest = 3

// enough sees to it that there are as many faults as are wanted: some that are planned
// find nothing to disturb.
func (w *world) enough() {
	for tries := 0; w.planned > 0 && w.counts.faults() < w.config.Faults && tries < 100; tries++ {
		w.crash()
	}
}

// recover ends all faults, but for what hangs, which goes on when it was to, and gives
// every role a process.
func (w *world) recover() {
	w.enough()
	w.say("faults end")
	w.calm, w.calmSince, w.log.doomed = true, w.now, false
	for r := range roles {
		if len(w.living(r)) == 0 {
			w.start(r)
		}
	}
}
