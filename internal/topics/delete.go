package topics

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/kvbucket"
	"laneway.dev/internal/marks"
	"laneway.dev/internal/partitionlog"
	"laneway.dev/internal/snapshots"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// Delete deletes a topic and its logs. Sweeps remove its payloads from the object store later.
//
// A tombstone is written first. Then the record is marked as deleted. From then on another topic may take the name. If the
// deletion is interrupted, the mark distinguishes the remaining logs from those whose record
// was lost, and the next creation or deletion of a topic with this name completes it.
func (r *Registry) Delete(ctx context.Context, name string) error {
	gone, err := r.mark(ctx, name)
	if err != nil {
		return err
	}
	return r.end(ctx, gone.Topic, gone.ids())
}

// mark is markDeleted while no topic is created.
func (r *Registry) mark(ctx context.Context, name string) (record, error) {
	r.creations.Lock()
	defer r.creations.Unlock()
	return r.markDeleted(ctx, name, 0)
}

// markDeleted marks a record as deleted, and returns it. The logs of its topics must be removed.
// If id is not 0, the topic must have it.
func (r *Registry) markDeleted(ctx context.Context, name string, id uint64) (record, error) {
	for {
		found, err := find(ctx, r.conn, name)
		switch {
		case err != nil:
			return record{}, err
		case found.revision == 0, id != 0 && found.ID != id:
			return record{}, protocol.NewError(protocol.CodeUnknownTopic, name)
		}
		if err := r.bury(ctx, name, found.ids()); err != nil || found.Deleted {
			return found, err
		}
		found.Deleted = true
		_, err = r.update(ctx, found)
		if kvbucket.IsConflict(err) {
			continue // the topic was updated, or its log continued
		}
		if err != nil {
			return record{}, unavailable(err)
		}
		return found, nil
	}
}

// ids returns the ids of all topics in the record: the current one and the deleted ones.
func (r record) ids() []uint64 { return append(slices.Clone(r.Former), r.ID) }

// end completes the deletion of topics with the name of a topic, which may be one of them: it
// removes their logs, and then their ids from the record.
func (r *Registry) end(ctx context.Context, topic protocol.Topic, ids []uint64) error {
	if err := r.removeLogs(ctx, topic, ids); err != nil {
		return err
	}
	return r.forget(ctx, topic.Name, ids)
}

// update replaces the revision of a record that was found.
func (r *Registry) update(ctx context.Context, found record) (revision uint64, err error) {
	value, err := json.Marshal(found)
	if err != nil {
		return 0, err
	}
	return r.kv.Update(ctx, found.Name, value, found.revision)
}

// removeLogs removes all logs, snapshots and marks of deleted topics.
func (r *Registry) removeLogs(ctx context.Context, topic protocol.Topic, ids []uint64) error {
	for _, id := range ids {
		listed, err := r.logs(ctx, partitionlog.Which{TopicID: id})
		if err != nil {
			return err
		}
		var logs []protocol.Partition
		for i := range listed {
			logs = append(logs, listed[i].Partition)
		}
		if id == topic.ID {
			logs = withLogs(logs, topic)
		}
		err = atOnce(logs, func(p protocol.Partition) error { return partitionlog.New(r.conn, r.js, p).Delete(ctx) })
		if err == nil {
			err = snapshots.Delete(ctx, r.js, id)
		}
		if err == nil {
			err = marks.Delete(ctx, r.conn, r.js, id)
		}
		if err != nil {
			return unavailable(err)
		}
	}
	return nil
}

// withLogs adds the logs of a topic that are not listed. A cluster lists streams as the leader of its
// metadata knows them, which may be later than their creation was acknowledged. It finds a stream by its
// name in any case.
func withLogs(listed []protocol.Partition, topic protocol.Topic) []protocol.Partition {
	names := make(map[string]bool, len(listed))
	for _, p := range listed {
		names[messages.LogName(p)] = true
	}
	for n := range topic.Partitions {
		if p := topic.Partition(n); !names[messages.LogName(p)] {
			listed = append(listed, p)
		}
	}
	return listed
}

// forget removes the ids of topics without logs from the record of their name, and the
// record itself if it has no other topic.
func (r *Registry) forget(ctx context.Context, name string, ids []uint64) error {
	for {
		found, err := find(ctx, r.conn, name)
		if err != nil || found.revision == 0 {
			return err
		}
		left := slices.DeleteFunc(slices.Clone(found.Former), func(id uint64) bool { return slices.Contains(ids, id) })
		switch {
		case found.Deleted && len(left) == 0 && slices.Contains(ids, found.ID):
			err = r.kv.Delete(ctx, name, jetstream.LastRevision(found.revision))
		case len(left) < len(found.Former):
			found.Former = left
			_, err = r.update(ctx, found)
		}
		if kvbucket.IsConflict(err) {
			continue
		}
		if err != nil {
			return unavailable(err)
		}
		return nil
	}
}

// LostLogs returns the error for logs with the name of a topic that belong to no record: the
// record was lost, or replaced by an older one. A new topic would hide them.
func (r *Registry) LostLogs(ctx context.Context, name string) error {
	var found Survey
	logs, err := r.unowned(ctx, partitionlog.Which{Topic: name}, &found)
	if err == nil && len(logs) > 0 {
		err = lost(logs)
	}
	return err
}

// lost returns the error for logs that belong to no topic.
func lost(logs []partitionlog.Found) *protocol.Error {
	return protocol.Errorf(protocol.CodeLogWithoutTopic, "topic %s: %s", logs[0].Partition.Topic, partitionlog.Names(logs))
}

// logs returns logs, also those that belong to no topic.
func (r *Registry) logs(ctx context.Context, which partitionlog.Which) ([]partitionlog.Found, error) {
	logs, err := partitionlog.List(ctx, r.conn, r.js, which)
	if err != nil && !errors.Is(err, context.Canceled) {
		err = unavailable(err)
	}
	return logs, err
}
