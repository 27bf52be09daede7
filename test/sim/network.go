package sim

import (
	"fmt"
	"time"

	"laneway.dev/pkg/messages"
)

// link is a way from one process to another. Clients have the number 0: what is on
// its way to and from them is drawn for each message.
type link struct{ from, to int }

// publish sends a message to everybody who listens to its subject, or to one
// stager of the queue group. It passes through its wire form.
func (w *world) publish(from *process, subject string, m messages.Message) {
	w.trace.sent(w.elapsed(), m)
	data := messages.Encode(m)
	var to []*process
	for _, p := range w.processes {
		if !p.dead && p.service.listens(subject) {
			to = append(to, p)
		}
	}
	if subject == messages.StageSubject && len(to) > 1 {
		to = []*process{pick(w, to)}
	}
	for _, p := range to {
		w.carry(from, p, subject, data)
	}
}

// carry brings a message to a process: late, twice or never, but in the order of
// sending for as long as the network is what NATS promises.
func (w *world) carry(from, to *process, subject string, data []byte) {
	if w.cut(from, to) || w.loses() {
		w.counts.Lost++
		w.meets("lost", from, to, data)
		return
	}
	copies := 1
	if w.fault(w.config.Mix.Double) {
		copies = 2
		w.counts.Doubled++
		w.checks.doubled(data)
		w.meets("comes twice", from, to, data)
	}
	for range copies {
		takes := w.latency()
		if takes >= late {
			w.meets(fmt.Sprintf("late by %s", takes.Round(time.Millisecond)), from, to, data)
		}
		at := w.now.Add(takes)
		way := link{from.number, to.number}
		if !w.config.Mix.Unordered && at.Before(w.links[way]) {
			at = w.links[way]
		}
		w.links[way] = at
		w.after(at.Sub(w.now), func() {
			m, err := messages.Decode(data)
			if err != nil {
				w.violated("wire: a message to %s cannot be read: %v", subject, err)
				return
			}
			to.put(m)
		})
	}
}

// loses draws whether a message between services is lost.
func (w *world) loses() bool {
	if !w.fault(w.config.Mix.Lose) {
		return false
	}
	if w.config.Mix.Repairs {
		if w.now.Sub(w.losses[0]) < deadline {
			return false
		}
		w.losses[0], w.losses[1] = w.losses[1], w.now
	}
	return true
}

// late is how long a message is on its way at least that is late.
const late = 50 * time.Millisecond

// latency draws how long a message is on its way.
func (w *world) latency() time.Duration {
	if w.fault(w.config.Mix.Late) {
		w.counts.Late++
		return w.between(late, 1500*time.Millisecond)
	}
	return w.between(200*time.Microsecond, 4*time.Millisecond)
}

func (w *world) cut(a, b *process) bool {
	if w.calm {
		return false
	}
	return w.now.Before(w.cuts[link{a.number, b.number}])
}
