package topics

import (
	"context"

	"laneway.dev/internal/kvbucket"
	"laneway.dev/pkg/protocol"
)

// Continue writes down that the log of a partition is continued in the stream of a higher
// incarnation. An error of code CodeInvalidRequest says that the topic is not there any
// more, or that somebody else has continued the log: then nothing was written.
func (r *Registry) Continue(ctx context.Context, from protocol.Partition, incarnation uint32) error {
	for {
		found, err := find(ctx, r.conn, from.Topic)
		n := int(from.Number)
		switch {
		case err != nil:
			return err
		case found.revision == 0 || found.Deleted || found.ID != from.TopicID || n >= found.Partitions:
			return protocol.Errorf(protocol.CodeInvalidRequest, "topic %s was deleted meanwhile", from.Topic)
		case found.Partition(n).Incarnation == incarnation:
			return nil // written by an attempt whose acknowledgement was lost
		case found.Partition(n) != from:
			return protocol.Errorf(protocol.CodeInvalidRequest, "the log of %s was continued by another repair meanwhile", from)
		}
		incarnations := make([]uint32, max(len(found.Incarnations), n+1))
		copy(incarnations, found.Incarnations)
		incarnations[n] = incarnation
		found.Incarnations = incarnations
		_, err = r.update(ctx, found)
		if kvbucket.IsConflict(err) {
			continue // another partition was continued, or the topic was deleted
		}
		if err != nil {
			return unavailable(err)
		}
		return nil
	}
}
