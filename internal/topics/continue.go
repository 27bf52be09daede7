package topics

import (
	"context"

	"laneway.dev/internal/kvbucket"
	"laneway.dev/pkg/protocol"
)

// Continue records in the topic's record that the log of a partition continues in the stream
// of a higher incarnation. An error with the code INVALID_REQUEST means that nothing was
// written, because the topic was deleted or another repair has continued the log. After any
// other error the outcome is unknown.
func (r *Registry) Continue(ctx context.Context, from protocol.Partition, incarnation uint32) error {
	for {
		found, err := find(ctx, r.conn, from.Topic)
		n := int(from.Number)
		switch {
		case err != nil:
			return err
		case found.revision == 0 || found.Deleted || found.ID != from.TopicID || n >= found.Partitions:
			return protocol.Errorf(protocol.CodeInvalidRequest, "topic %s was deleted in the meantime", from.Topic)
		case found.Partition(n).Incarnation == incarnation:
			return nil // written by an attempt whose acknowledgement was lost
		case found.Partition(n) != from:
			return protocol.Errorf(protocol.CodeInvalidRequest, "the log of %s was continued by another repair in the meantime", from)
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
