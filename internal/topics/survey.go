package topics

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/kvbucket"
	"laneway.dev/internal/partitionlog"
	"laneway.dev/pkg/protocol"
)

// Survey is the result of a check of all metadata.
type Survey struct {
	// Lost are the topics with logs and without a record, by name.
	Lost map[string][]partitionlog.Found
	// Unreadable has an error for each record that cannot be read.
	Unreadable []error
	// Outdated has an error for each record that is older than a log of its topic.
	Outdated []error
	// Remade are the metadata streams that were lost and created again.
	Remade []string
}

// Err returns the problems that an operator must solve before the affected topics can be
// used again; nil if there are none. Other topics are not affected.
func (s *Survey) Err() error {
	errs := slices.Concat(s.Unreadable, s.Outdated)
	for _, name := range s.Topics() {
		errs = append(errs, lost(s.Lost[name]))
	}
	return errors.Join(errs...)
}

// Topics returns the names of the lost topics, sorted.
func (s *Survey) Topics() []string { return slices.Sorted(maps.Keys(s.Lost)) }

// ErrOf returns the error for a topic that is not in the registry.
func (s *Survey) ErrOf(topic string) error {
	if logs := s.Lost[topic]; len(logs) > 0 {
		return lost(logs)
	}
	return nil
}

// metadata are the streams that exist before the first topic is created.
var metadata = []string{bucketStream, "KV_LANEWAY_PRODUCERS", "KV_LANEWAY_EPOCHS", "KV_LANEWAY_CLUSTER"}

// Survey compares the records of topics with the logs that exist.
func (r *Registry) Survey(ctx context.Context) (Survey, error) {
	found := Survey{Lost: make(map[string][]partitionlog.Found)}
	logs, err := r.unowned(ctx, partitionlog.Which{}, &found)
	if err != nil {
		return found, err
	}
	for _, l := range logs {
		found.Lost[l.Partition.Topic] = append(found.Lost[l.Partition.Topic], l)
	}
	for _, name := range metadata {
		stream, err := r.js.Stream(ctx, name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			continue // it is not created yet
		}
		if err != nil {
			return found, unavailable(err)
		}
		if _, remade := kvbucket.Remade(stream.CachedInfo().Config); remade {
			found.Remade = append(found.Remade, name)
		}
	}
	return found, nil
}

// Existing returns all topics without a registry: it does not create the bucket. A topic
// whose record is lost or cannot be read is derived from its logs, and problems has an error
// for it.
func Existing(ctx context.Context, conn *nats.Conn, js jetstream.JetStream) (all []protocol.Topic, problems []error, err error) {
	r := newRegistry(conn, js, nil)
	found, all, err := r.existing(ctx)
	if err != nil {
		return nil, nil, err
	}
	problems = found.Unreadable
	if len(found.Lost) == 0 {
		return all, problems, nil
	}
	number, err := r.lookUpLogs(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, name := range found.Topics() {
		topic, err := fromLogs(ctx, conn, js, name, number)
		problems = append(problems, errors.Join(found.ErrOf(name), err))
		if err == nil {
			all = append(all, topic)
		}
	}
	return all, problems, nil
}

func (r *Registry) existing(ctx context.Context) (found Survey, all []protocol.Topic, err error) {
	_, err = r.js.Stream(ctx, bucketStream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		logs, err := r.logs(ctx, partitionlog.Which{})
		found.Lost = make(map[string][]partitionlog.Found)
		for _, l := range logs {
			found.Lost[l.Partition.Topic] = append(found.Lost[l.Partition.Topic], l)
		}
		return found, nil, err
	}
	if err != nil {
		return found, nil, unavailable(err)
	}
	if found, err = r.Survey(ctx); err != nil {
		return found, nil, err
	}
	all, err = r.List(ctx)
	return found, all, err
}

// unowned returns those of some logs that belong to no topic, and adds problems of records to found.
func (r *Registry) unowned(ctx context.Context, which partitionlog.Which, found *Survey) (lost []partitionlog.Found, err error) {
	// The logs are listed first. A topic's record is written before its logs, so a topic that
	// is created during the survey is not found without its record.
	logs, err := r.logs(ctx, which)
	if err != nil || len(logs) == 0 && which != (partitionlog.Which{}) {
		return nil, err
	}
	owned, err := found.owned(ctx, r)
	if err != nil {
		return nil, err
	}
	for _, l := range logs {
		if topic, known := owned[l.Partition.TopicID]; known {
			if l.Used && topic.ID == l.Partition.TopicID && !topic.Deleted && l.Partition.Incarnation > topic.Partition(int(l.Partition.Number)).Incarnation {
				found.Outdated = append(found.Outdated, outdated(l))
			}
			continue
		}
		there, err := l.Exists(ctx, r.conn, r.js) // or else its topic was deleted meanwhile
		if err != nil {
			return nil, unavailable(err)
		}
		if there {
			lost = append(lost, l)
		}
	}
	return lost, nil
}

// outdated returns the error for a used log with a later incarnation than the one in its
// topic's record.
func outdated(l partitionlog.Found) error {
	return protocol.Errorf(protocol.CodePartitionDamaged, "partition %s: its topic's record in bucket %s is older than its log, which was continued as %s; "+
		"restore the bucket from a newer copy, or correct the record with: laneway topic repair %s --accept-loss",
		l.Partition, bucket, l.Name, l.Partition.Topic)
}

// owned returns the records of all topics by id, with those that are being deleted, and adds
// the records that cannot be read to s.
func (s *Survey) owned(ctx context.Context, r *Registry) (map[uint64]record, error) {
	records, _, err := kvbucket.Records(ctx, r.js, bucket, "")
	if err != nil {
		return nil, unavailable(err)
	}
	owned := make(map[uint64]record)
	for _, entry := range records {
		if _, err := change(entry); err != nil {
			s.Unreadable = append(s.Unreadable, err)
			continue
		}
		if entry.Exists {
			decoded, err := decode(entry.Key, entry.Value)
			if err != nil {
				return nil, err
			}
			owned[decoded.ID] = decoded
			for _, id := range decoded.Former {
				owned[id] = decoded
			}
		}
	}
	return owned, nil
}
