package random

import (
	"fmt"
	"slices"
	"time"

	replicator "laneway.dev/services/replicator/core"
	"laneway.dev/test/sim/world"
)

// mostDays is how wrong a clock is at most, in a mix in which clocks are wrong by days.
const mostDays = 5 * 24 * time.Hour

// clockError draws by how much a clock is wrong.
func (r *run) clockError() time.Duration {
	m := &r.config.Mix
	if m.Days {
		switch r.rng.IntN(4) {
		case 0:
			return r.between(time.Hour, mostDays)
		case 1:
			return -r.between(time.Hour, mostDays)
		}
	}
	if m.Skew > 0 {
		return r.between(-m.Skew, m.Skew)
	}
	return 0
}

// drawRetention draws how long, or how much, the topic keeps. Sometimes it keeps everything.
func (r *run) drawRetention() (keeps replicator.Retention) {
	if r.chance(0.2) {
		return keeps
	}
	if r.chance(0.7) {
		keeps.Age = r.between(300*time.Millisecond, 8*time.Second)
	}
	if keeps.Age == 0 || r.chance(0.3) {
		keeps.Bytes = 1 + r.rng.Int64N(20_000)
	}
	return keeps
}

// changeRetention updates the retention of the topic.
func (r *run) changeRetention() {
	r.counts.Retentions++
	r.retention = r.drawRetention()
	r.Say("the topic keeps %d bytes for %s; 0 is everything", r.retention.Bytes, r.retention.Age)
	r.tellRetention()
}

// tellRetention lets replicators learn of the retention soon. Those that start know it.
func (r *run) tellRetention() {
	if !r.retains {
		return
	}
	for _, p := range r.Living(world.Replicator) {
		r.after(r.between(0, 2*time.Second), func() { r.results(p, func() world.Event { return r.retention }) })
	}
	if r.calm && r.chance(0.5) {
		r.after(r.between(0, 2*time.Second), r.truncate)
	}
}

// truncate requests that the records below an offset are dropped: one that the log has, or one that is
// below its start or beyond its end. Once faults have ended, it is one that the log has.
func (r *run) truncate() {
	all := r.Living(world.Frontend)
	if len(all) == 0 {
		return
	}
	of := r.some()
	start, end := of.Log.History().Start, r.checks[of.Index].NextOffset()
	p, calm, patience := pick(r, all), r.calm, r.between(200*time.Millisecond, 10*time.Second)
	before := start + r.rng.Int64N(end-start+1)
	switch {
	case calm:
		patience = calmTime
	case r.chance(0.2):
		before = end + r.rng.Int64N(20)
	case r.chance(0.1):
		before = r.rng.Int64N(before + 1)
	}
	r.awake(p, func() {
		r.SayOf(of, "%s is to drop the records below %d", p, before)
		t := r.Truncate(p, of, before, patience)
		if calm {
			r.truncations = append(r.truncations, t)
		}
	})
}

// truncated reports whether the requests are answered that were made since faults have ended.
func (r *run) truncated() bool {
	return !slices.ContainsFunc(r.truncations, func(t *world.Truncation) bool { return !t.Answered && !t.By.Dead })
}

// AskTime implements world.Scheduler. The answer may come late, or say that nothing is known.
func (r *run) AskTime(p *world.Process, of *world.Partition) {
	if r.fault(r.config.Mix.Lose) {
		r.counts.Lost++
		r.SayOf(of, "  ! lost: the answer to %s, which has asked for the time", p)
		r.after(appendTimeout, func() { r.Result(p, of, replicator.LogTime{}) })
		return
	}
	r.after(r.latency(), func() {
		at := of.LogTime()
		r.SayOf(of, "  %s learns that JetStream's time is %s", p, time.Unix(0, at.Last).UTC())
		r.after(r.latency(), func() { r.Result(p, of, at) })
	})
}

// overdue is how long something may be due to be dropped once faults have ended: an owner asks for
// JetStream's time every second, and gets a new one with an entry.
const overdue = 6 * time.Second

// due returns what should be dropped by now; empty if nothing.
func (r *run) due() string {
	for _, of := range r.Partitions {
		if due := r.dueOf(of); !of.Deleted && due != "" {
			return due
		}
	}
	return ""
}

func (r *run) dueOf(of *world.Partition) string {
	h, keeps := of.Log.History(), r.retention
	if !r.retains || h.OldestBytes == 0 {
		return ""
	}
	if keeps.Bytes > 0 && h.Bytes-h.OldestBytes >= keeps.Bytes {
		return fmt.Sprintf("the oldest segment, because %d bytes are enough", keeps.Bytes)
	}
	for _, p := range r.Living(world.Replicator) {
		if keeps.Age == 0 || p.Name != r.checks[of.Index].Owner() || !p.Stats.Of[of.Index].Leading {
			continue
		}
		now := r.Clock(p)
		if js := r.LogClock(of); js.Before(now) {
			now = js
		}
		if cutoff := now.Add(-keeps.Age - overdue); !cutoff.Before(of.Journal.Created) && h.Oldest < cutoff.UnixNano() {
			return fmt.Sprintf("the oldest segment, which is from before %s", cutoff)
		}
	}
	return ""
}
