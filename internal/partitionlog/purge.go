package partitionlog

import (
	"context"
	"fmt"

	"laneway.dev/pkg/messages"
)

// Purge removes all entries below a sequence. The entry at this sequence MUST exist; if the log ends
// before it, Purge removes nothing and returns an error. Purge may be repeated. After an error, the
// entries may be removed. The journal gives their space back when that is worth it.
func (l *Log) Purge(ctx context.Context, below uint64) error {
	if below <= 1 {
		return nil
	}
	x, err := l.extent(ctx)
	if err != nil {
		return err
	}
	if x.last < below {
		return fmt.Errorf("purge the log %s below sequence %d: it ends with %d", messages.LogName(l.partition), below, x.last)
	}
	return known(l.journal().Trim(ctx, l.id, below))
}
