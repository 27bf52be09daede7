package partition

import (
	"fmt"
	"time"

	"laneway.dev/pkg/messages"
)

// congested returns why the log takes no new requests; empty if it takes them.
//
// A log whose entries are not archived grows without limit, and with it the time of a
// recovery. So frontends refuse requests when the unarchived part of a log reaches a bound.
// The batches that have a ticket are still appended: to refuse them would add to the log as
// well. Jobs are due at a quarter of the bound, so it is reached only if archivers fail, or
// are slower than producers.
func (c *Core) congested() string {
	s, sum := &c.settings, &c.archive.runs.sum
	switch {
	case s.ArchiveBytes == 0:
		return ""
	case sum.LogBytes >= s.TailBytes:
		return fmt.Sprintf("%d bytes of its log are not archived, the limit is %d", sum.LogBytes, s.TailBytes)
	case sum.Batches >= s.TailBatches:
		return fmt.Sprintf("%d batches of its log are not archived, the limit is %d", sum.Batches, s.TailBatches)
	}
	return ""
}

// ReportCongested tells the frontends that the log takes no new requests, every Heartbeat as
// long as that lasts.
func (c *Core) ReportCongested(now time.Time) {
	a, why := &c.archive, c.congested()
	if why == "" {
		a.fullSince, a.toldFull = time.Time{}, time.Time{}
		return
	}
	if a.fullSince.IsZero() {
		a.fullSince = now
		c.WarnArchiving(now, "produce requests are rejected, because "+why+"; look for the errors of archivers and of the object store")
	}
	if now.Sub(a.toldFull) >= c.settings.Heartbeat {
		a.toldFull = now
		c.send(messages.CommittedSubject(c.id), messages.Congested{Partition: c.id, Reason: why})
	}
}
