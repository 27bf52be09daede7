package partitionlog

import (
	"context"
	"fmt"

	"laneway.dev/pkg/messages"
)

// Purge removes all entries below a sequence. The entry at this sequence MUST exist;
// if the stream ends before it, Purge removes nothing and returns an error. Purge may be
// repeated. After an error, the entries may be removed.
//
// JetStream removes the blocks before the one that has the sequence, and then writes a
// tombstone for each removed entry of that block, or rewrites the block without them. With
// sync always all of this is synced. A server that is killed meanwhile comes back with some
// first sequence up to the new one, and without holes after it.
func (l *Log) Purge(ctx context.Context, below uint64) error {
	if below <= 1 {
		return nil // JetStream would take 0 for everything
	}
	x, err := l.source.extent(ctx)
	if err != nil {
		return err
	}
	if x.last < below {
		// JetStream would remove all entries, and continue at this sequence.
		return fmt.Errorf("purge the log %s below sequence %d: it ends with %d", messages.LogName(l.partition), below, x.last)
	}
	return l.source.purge(ctx, below)
}
