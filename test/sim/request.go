package sim

import (
	"fmt"

	"laneway.dev/pkg/delivery"
	"laneway.dev/pkg/protocol"
	frontend "laneway.dev/services/frontend/core"
)

// request is a batch on its way, and who waits for the answer.
type request struct {
	key      batchKey
	produce  frontend.Produce
	instance *instance
	id       delivery.ID
	answered bool
	heard    bool // a frontend has answered it
}

// send brings a request to any frontend that takes requests. Those of a connection
// stay in order.
func (i *instance) send(r *request) {
	w := i.c.w
	if w.fault(w.config.Mix.Lose) {
		w.counts.Lost++
		w.say("  ! lost: %s", r)
		return
	}
	way := link{from: -1 - i.c.number}
	at := w.now.Add(w.latency())
	if at.Before(w.links[way]) {
		at = w.links[way]
	}
	w.links[way] = at
	w.after(at.Sub(w.now), func() {
		var takers []*process
		for _, p := range w.living(frontendRole) {
			if p.service.(*frontendService).ready {
				takers = append(takers, p)
			}
		}
		if len(takers) == 0 {
			r.answer(w, frontend.Answer{Error: protocol.NewError(protocol.CodeUnavailable, "no responders")})
			return
		}
		pick(w, takers).put(r)
	})
}

// event is what the frontend's core is told of the request.
func (r *request) event() frontend.Produce {
	produce := r.produce
	produce.Request = r
	return produce
}

func (r *request) String() string {
	return fmt.Sprintf("%s: records %d to %d, attempt %d", r.instance, r.key.first, r.key.first+r.key.records-1, r.id.Attempt)
}

// answer brings an answer to the client, or loses it.
func (r *request) answer(w *world, a frontend.Answer) {
	r.heard = true
	if w.fault(w.config.Mix.Lose) {
		w.counts.Lost++
		w.say("  ! lost: the answer to %s", r)
		return
	}
	i := r.instance
	w.after(w.latency(), func() {
		if i.dead {
			return
		}
		w.say("  %s is answered: %s", r, outcome(a))
		switch {
		case a.Error == nil:
			w.checks.acked(r, a.Offset)
			if a.Duplicate {
				w.counts.Duplicates++
			}
			if !i.c.plain {
				i.window.OK(w.now, r.id)
			}
		case !i.c.plain:
			i.window.Refused(w.now, r.id, a.Error)
		}
		if i.c.plain {
			i.answered(r, a.Error == nil)
			return
		}
		i.step()
	})
}
