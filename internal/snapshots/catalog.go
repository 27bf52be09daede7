package snapshots

import (
	"context"
	"strings"
	"time"

	"laneway.dev/internal/kvbucket"
	"laneway.dev/pkg/protocol"
)

// catalog is the partitions with a piece of a snapshot, by their subjects up to the incarnation; nil if it is
// not known of each whether it has one.
type catalog map[string]bool

const catalogTimeout = 10 * time.Second

// None reports whether a partition has no snapshot, nor a part of one. Those who ask at the same time share one
// request, which is sent after they have asked, and lists the snapshots of all partitions. So None is for many
// partitions at once. It also returns false if that is not known: only Load then tells.
func (s *Store) None(ctx context.Context, p protocol.Partition) bool {
	all, err := s.all.Ask(ctx)
	return err == nil && all != nil && !all[partitionPrefix(p)]
}

// catalog asks the leader of the stream for all of its subjects.
func (s *Store) catalog(ctx context.Context) (catalog, error) {
	state, err := kvbucket.Subjects(ctx, s.js.Conn(), streamName, prefix+">")
	if err != nil || uint64(len(state.Subjects)) != state.NumSubjects { // JetStream does not list more than 100,000
		return nil, err
	}
	all := make(catalog)
	for subject := range state.Subjects {
		end := len(prefix)
		for range 3 { // topic id, partition, incarnation
			end += strings.IndexByte(subject[end:], '.') + 1
		}
		all[subject[:end]] = true
	}
	return all, nil
}
