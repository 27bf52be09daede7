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
		p.put(ctx, core.PurgeFailed{Reason: err.Error()})
		return
	}
	p.put(ctx, core.Purged(what))
}
