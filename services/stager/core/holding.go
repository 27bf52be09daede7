package core

import (
	"slices"
	"time"

	"laneway.dev/pkg/messages"
)

// reports decides when the frontends are told which of their batches the stager holds. A
// frontend has a batch staged again if no stager has staged or reported it for its stage
// timeout, so a slow store must not make a stager look dead.
//
// Example: the interval is 500 ms, and a put takes 2 s. Each batch of the object is reported
// about four times, for the first time 500 ms to 1 s after its arrival. If puts take less
// than 500 ms, nothing is reported.
type reports struct {
	every     time.Duration // 0 reports nothing
	at        time.Time     // of the last report
	uploading []*Object     // whose uploads have not ended
}

func (r *reports) begins(o *Object) { r.uploading = append(r.uploading, o) }

func (r *reports) ends(o *Object) {
	r.uploading = slices.DeleteFunc(r.uploading, func(other *Object) bool { return other == o })
}

// due reports whether it is time for a report, and starts the next interval if it is.
func (r *reports) due(now time.Time) bool {
	if r.every == 0 || now.Sub(r.at) < r.every {
		return false
	}
	r.at = now
	return true
}

// report tells the frontends of the batches that arrived at least an interval ago and are
// not answered. It reads objects that are being uploaded, which is safe because nothing
// changes them.
func (c *Core) report(now time.Time) {
	if !c.reports.due(now) {
		return
	}
	for _, objects := range [][]*Object{c.reports.uploading, c.queue.objects} {
		for _, o := range objects {
			for i := range o.Batches {
				if b := &o.Batches[i]; now.Sub(b.Arrived) >= c.reports.every {
					c.holding.add(b.sender(), messages.Held{Ticket: b.Ticket, Attempt: b.Attempt})
				}
			}
		}
	}
	c.holding.flush(func(to sender, held []messages.Held) {
		c.fx.Send = append(c.fx.Send, messages.Envelope{
			Subject: messages.FrontendSubject(to.partition, to.epoch),
			Message: messages.Holding{Partition: to.partition, Epoch: to.epoch, Stager: c.settings.Name, Held: held},
		})
	})
}
