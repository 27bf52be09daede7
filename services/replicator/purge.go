package replicator

import (
	"context"
	"time"

	"laneway.dev/services/replicator/core"
)

// purgeTimeout bounds a purge. JetStream removes whole blocks, and syncs.
const purgeTimeout = 30 * time.Second

// purge removes the beginning of the log, and passes the result to the core.
func (p *owner) purge(ctx context.Context, what core.Purge) {
	bounded, cancel := context.WithTimeout(ctx, purgeTimeout)
	defer cancel()
	if err := p.log.Purge(bounded, what.Below); err != nil {
		p.put(core.PurgeFailed{Reason: err.Error()})
		return
	}
	p.put(core.Purged(what))
}

// askTime passes the time that JetStream gave to the last entry of the log to the core.
func (p *owner) askTime(ctx context.Context) {
	bounded, cancel := context.WithTimeout(ctx, p.service.config.AppendTimeout)
	defer cancel()
	last, created, err := p.log.Times(bounded)
	if err != nil {
		p.put(core.LogTime{}) // the core asks again when the next job is due
		return
	}
	p.put(core.LogTime{Last: last.UnixNano(), Created: created.UnixNano()})
}
