package random

import (
	"fmt"
	"slices"
	"time"

	stager "laneway.dev/services/stager/core"
	"laneway.dev/test/sim/world"
)

// usual is how long an upload takes at most that is not slow.
const usual = 60 * time.Millisecond

// Upload implements world.Scheduler: it repeats the put of an object until one succeeds, or
// until the core of the stager ends the attempts.
func (r *run) Upload(p *world.Process, o *stager.Object) {
	attempts := stager.NewAttempts(o)
	r.put(p, o, &attempts)
}

// put stores an object, after a while or not at all.
func (r *run) put(p *world.Process, o *stager.Object, attempts *stager.Attempts) {
	of := p.Generation
	began, took := r.Clock(p), r.between(2*time.Millisecond, usual)
	if r.fault(r.config.Mix.SlowStore) {
		r.counts.SlowUploads++
		took = r.between(300*time.Millisecond, 2*time.Second)
	}
	fails := r.fault(r.config.Mix.StoreFails)
	if r.slow(o) {
		r.counts.SlowUploads++
		took = r.between(300*time.Millisecond, 3*time.Second)
		fails = fails || r.fault(r.config.Mix.OneLaneFails)
	}
	if took > usual {
		r.Say("  ! an upload of %s takes %s: %s", p, took.Round(time.Millisecond), uploaded(o))
	}
	r.after(took, func() {
		switch {
		case fails:
			r.Say("  ! an upload of %s fails: %s", p, uploaded(o))
			r.awake(p, func() { r.uploadFailed(p, o, attempts, began) })
		case p.Dead && r.chance(0.8):
			r.counts.UnsyncedLost++
			r.Say("  ! an upload of %s was not synced: %s", p, uploaded(o))
		default:
			// It is durable whether or not its stager lives to see it.
			done := r.Stored(o, of)
			key := done.Extents[0].Key
			r.landsAgain(0, key, func() { r.PutBatches(key, done.Size) })
			r.Deliver(p, done)
		}
	})
}

// uploadFailed handles a failed put. The failures of a stager alternate between a full store,
// which is final, and a cause that may pass.
func (r *run) uploadFailed(p *world.Process, o *stager.Object, attempts *stager.Attempts, began time.Time) {
	r.putsFailed[p.Number]++
	full := r.putsFailed[p.Number]%2 == 1
	pause, refused := attempts.Failed(r.Clock(p), stager.Failure{Detail: "simulated", Full: full}, r.rng.Float64())
	if refused != nil {
		r.counts.StagingFailed++
		r.Deliver(p, stager.Uploaded{Object: o, Failed: refused})
		return
	}
	r.counts.PutsRepeated++
	r.Deliver(p, stager.PutFailed{Began: began})
	r.after(pause, func() { r.awake(p, func() { r.put(p, o, attempts) }) })
}

// uploaded returns in words what is in an object.
func uploaded(o *stager.Object) string {
	first := &o.Batches[0]
	return fmt.Sprintf("%s ticket %d and %d other batches", first.Lane, first.Number, len(o.Batches)-1)
}

// slow reports whether an object has a batch of the lane that is slow.
func (r *run) slow(o *stager.Object) bool {
	if r.calm || r.limits.SlowClient < 0 {
		return false
	}
	c := r.clients[r.limits.SlowClient]
	return slices.ContainsFunc(o.Batches, func(b stager.Batch) bool { return b.Lane == c.Lane && b.Partition == r.Partitions[c.Partition].ID })
}
