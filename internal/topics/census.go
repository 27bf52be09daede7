package topics

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/partitionlog"
	"laneway.dev/pkg/protocol"
)

// Census is which logs there are.
type Census struct {
	// Logs are those of the registry, whether or not their streams exist, and those of all other
	// streams. Logs of deleted topics are left out, and those that a log of the registry continues.
	Logs []protocol.Partition
	// Continuing are those of Logs that continue a log of the registry, which does not name them: a repair
	// is under way or was interrupted, or the record of the topic is an older one.
	Continuing []protocol.Partition
	// Tombstones are those of topics that do not exist any more.
	Tombstones []Tombstone
	// Deleting are topics that are being deleted, and whose logs may still exist.
	Deleting []uint64
}

// TakeCensus finds out which logs there are, for somebody who must not miss one. A record that
// cannot be read is an error, because nobody knows which logs it has.
//
// The streams are listed first, then the registry, and then the tombstones. A topic that is created
// meanwhile is registered before its streams exist, and one that is deleted has its tombstone before
// its record goes.
func TakeCensus(ctx context.Context, conn *nats.Conn, js jetstream.JetStream) (Census, error) {
	r := newRegistry(conn, js, nil)
	streams, err := r.logs(ctx, partitionlog.Which{})
	if err != nil {
		return Census{}, err
	}
	records, err := r.records(ctx)
	if err != nil {
		return Census{}, err
	}
	buried, err := tombstones(ctx, js)
	if err != nil {
		return Census{}, err
	}
	return countLogs(ctx, conn, js, streams, records, buried)
}

// records returns the records of all topics by id. It fails if one cannot be read.
func (r *Registry) records(ctx context.Context) (map[uint64]record, error) {
	_, err := r.js.Stream(ctx, bucketStream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, nil // no topic was created yet, or all records are lost
	}
	if err != nil {
		return nil, unavailable(err)
	}
	var survey Survey
	records, err := survey.owned(ctx, r)
	return records, errors.Join(append(survey.Unreadable, err)...)
}

func countLogs(ctx context.Context, conn *nats.Conn, js jetstream.JetStream, streams []partitionlog.Found, records map[uint64]record, buried []Tombstone) (c Census, err error) {
	live := make(map[uint64]protocol.Topic)
	registered := make(map[protocol.Partition]bool)
	for id, found := range records {
		if id != found.ID || found.Deleted {
			c.Deleting = append(c.Deleting, id)
			continue
		}
		live[id] = found.Topic
		for n := range found.Partitions {
			c.Logs = append(c.Logs, found.Partition(n))
			registered[found.Partition(n)] = true
		}
	}
	for _, l := range streams {
		p := l.Partition
		topic, lives := live[p.TopicID]
		if lives {
			p.Log = topic.Partition(int(p.Number)).Log
		}
		_, known := records[p.TopicID]
		if registered[p] || known && !lives || lives && int(p.Number) < topic.Partitions && p.Incarnation < topic.Partition(int(p.Number)).Incarnation {
			continue
		}
		there := true
		if !known { // its topic may have been deleted meanwhile
			if there, err = l.Exists(ctx, conn, js); err != nil {
				return Census{}, unavailable(err)
			}
		}
		if there {
			c.Logs = append(c.Logs, p)
		}
		if lives && int(p.Number) < topic.Partitions {
			c.Continuing = append(c.Continuing, p)
		}
	}
	for _, t := range buried {
		if _, lives := live[t.ID]; !lives {
			c.Tombstones = append(c.Tombstones, t)
		}
	}
	return c, nil
}
