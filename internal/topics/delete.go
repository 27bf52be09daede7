package topics

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/kvbucket"
	"laneway.dev/internal/marks"
	"laneway.dev/internal/partitionlog"
	"laneway.dev/internal/snapshots"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// Delete removes a topic and its logs. Its payloads stay in the object store. The
// record is marked first: a deletion that is interrupted leaves logs behind, which must
// be told from those whose record was lost. Whoever deletes or creates a topic of the
// name next ends the deletion.
func (r *Registry) Delete(ctx context.Context, name string) error {
	r.changes.Lock()
	defer r.changes.Unlock()
	found, err := find(ctx, r.conn, name)
	switch {
	case err != nil:
		return err
	case found.revision == 0:
		return protocol.NewError(protocol.CodeUnknownTopic, name)
	}
	return r.delete(ctx, found)
}

// delete marks a record unless it is marked, and removes what it stands for.
func (r *Registry) delete(ctx context.Context, found record) error {
	if !found.Deleted {
		found.Deleted = true
		value, err := json.Marshal(found)
		if err != nil {
			return protocol.AsError(err)
		}
		if found.revision, err = r.kv.Update(ctx, found.Name, value, found.revision); err != nil {
			return unavailable(err)
		}
	}
	return r.remove(ctx, found)
}

// remove removes the logs, snapshots and marks of a topic whose record is marked, and the
// record last. A repair leaves more than one stream of a log.
func (r *Registry) remove(ctx context.Context, found record) error {
	if err := r.eachLog(found.Topic, func(l *partitionlog.Log) error { return l.Delete(ctx) }); err != nil {
		return unavailable(err)
	}
	logs, err := r.logs(ctx, messages.LogsOf(found.Name))
	if err != nil {
		return err
	}
	for _, l := range logs {
		if l.Partition.TopicID != found.ID {
			continue
		}
		if err := l.Remove(ctx, r.js); err != nil {
			return unavailable(err)
		}
	}
	if err := snapshots.Delete(ctx, r.js, found.ID); err != nil {
		return unavailable(err)
	}
	if err := marks.Delete(ctx, r.js, found.ID); err != nil {
		return unavailable(err)
	}
	err = r.kv.Delete(ctx, found.Name, jetstream.LastRevision(found.revision))
	if err != nil && !kvbucket.IsConflict(err) { // another process has ended the deletion
		return unavailable(err)
	}
	return nil
}

// clear ends a deletion of the name that was interrupted, and refuses a name that has
// logs whose topic was lost: a creation would take their place.
func (r *Registry) clear(ctx context.Context, name string) error {
	found, err := find(ctx, r.conn, name)
	switch {
	case err != nil && !unreadable(found, err), found.revision != 0 && !found.Deleted:
		return nil // the claim says why the name is taken
	case found.Deleted:
		if err := r.remove(ctx, found); err != nil {
			return err
		}
	}
	logs, err := r.logs(ctx, messages.LogsOf(name))
	if err != nil || len(logs) == 0 {
		return err
	}
	// A topic of the name may have been created meanwhile.
	if found, err = find(ctx, r.conn, name); err == nil && found.revision == 0 || unreadable(found, err) {
		err = lost(logs)
	}
	return err
}

// unreadable reports whether JetStream cannot read the record that was looked for.
func unreadable(found record, err error) bool {
	return found.revision == 0 && errors.Is(err, protocol.NewError(protocol.CodeCorrupt, ""))
}

// lost returns the error for logs that belong to no topic.
func lost(logs []partitionlog.Found) *protocol.Error {
	return protocol.Errorf(protocol.CodeLogWithoutTopic, "topic %s: %s", logs[0].Partition.Topic, partitionlog.Names(logs))
}

// logs returns the logs whose subjects match.
func (r *Registry) logs(ctx context.Context, subjects string) ([]partitionlog.Found, error) {
	logs, err := partitionlog.List(ctx, r.js, subjects)
	if err != nil && !errors.Is(err, context.Canceled) {
		err = unavailable(err)
	}
	return logs, err
}
