package random

import (
	"time"

	"laneway.dev/internal/core/generation"
)

// deafness is how long a process hears of no generation at most. It covers several of them, so
// that some writers are further behind than the watermark allows.
const deafness = 8 * time.Second

// followed reports whether all watermarks are as high as the generation allows.
func (r *run) followed() bool {
	for _, of := range r.Partitions {
		if !of.Deleted && of.Log.Watermark() != generation.Watermark(r.Generation) {
			return false
		}
	}
	return true
}

// generations begins with the generations of objects, in a mix that has them.
func (r *run) generations() {
	if r.config.Mix.Raise > 0 && r.Archive != nil {
		r.Raise(generation.First)
		r.after(r.untilRaise(), r.raise)
	}
}

func (r *run) untilRaise() time.Duration {
	most := 2 * r.config.Mix.Raise
	return r.between(most/20, most)
}

// raise raises the generation now and then, besides sweeps, until faults have ended.
func (r *run) raise() {
	if !r.calm {
		r.raiseGeneration()
		r.after(r.untilRaise(), r.raise)
	}
}

// raiseGeneration raises the generation. Some processes hear of it late, but for when faults have ended.
func (r *run) raiseGeneration() {
	r.Raise(r.Generation + 1)
	if r.calm {
		r.tellGeneration()
		return
	}
	newest := r.Generation
	for _, p := range r.Processes {
		if p.Dead {
			continue
		}
		if r.chance(0.15) && !r.Now.Before(r.unaware[p]) {
			r.unaware[p] = r.Now.Add(r.between(0, deafness))
		}
		takes := max(r.latency(), r.unaware[p].Sub(r.Now))
		r.after(takes, func() { r.Know(p, newest) })
	}
}

// tellGeneration lets every process hear of the newest generation.
func (r *run) tellGeneration() {
	if r.Generation == 0 {
		return
	}
	for _, p := range r.Processes {
		r.Know(p, r.Generation)
	}
}
