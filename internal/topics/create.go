package topics

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	core "laneway.dev/internal/core/generation"
	"laneway.dev/internal/generation"
	"laneway.dev/internal/kvbucket"
	"laneway.dev/internal/marks"
	"laneway.dev/internal/partitionlog"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// errChanged means that the bucket has changed since it was read: a topic was created,
// updated or deleted.
var errChanged = errors.New("the registry has changed")

// Create creates a topic and the logs of its partitions. Of several creations that exclude
// each other, exactly one succeeds, in whatever processes they run: the record is added by
// compare-and-set on the last revision of the whole bucket. Example: two processes create
// the topics "a" and "b" with overlapping subjects. Both read revision 7 and find room. The
// first one writes revision 8; the second one fails, reads again, and finds the overlap.
//
// The record is written before the logs, since a log without a record counts as lost. Logs
// of deleted topics with the same name do not matter, and are removed at the end.
//
// A configuration without a number of replicas gets that of the cluster.
func (r *Registry) Create(ctx context.Context, config protocol.TopicConfig) (_ protocol.Topic, err error) {
	if config.Replicas == 0 {
		if config.Replicas, err = kvbucket.ClusterReplicas(ctx, r.conn); err != nil {
			return protocol.Topic{}, unavailable(err)
		}
	}
	if config, err = config.Complete(); err != nil {
		return protocol.Topic{}, err
	}
	r.creations.RLock()
	defer r.creations.RUnlock()
	if err := r.LostLogs(ctx, config.Name); err != nil {
		return protocol.Topic{}, err
	}
	logs, err := r.decideLogs(ctx, 0)
	if err != nil {
		return protocol.Topic{}, err
	}
	topic := protocol.Topic{TopicConfig: config, ID: newID(), Created: time.Now().UTC(), Logs: logs}
	made, err := r.claim(ctx, topic)
	if err != nil {
		return protocol.Topic{}, err
	}
	err = r.createLogs(ctx, topic)
	if err == nil {
		err = r.markLogs(ctx, topic)
	}
	if err == nil {
		err = r.stands(ctx, topic)
	}
	if err == nil {
		r.endFormer(ctx, made)
		return topic, nil
	}
	code := protocol.CodeUnavailable
	switch {
	case errors.Is(err, partitionlog.ErrTooFewServers):
		code = protocol.CodeInvalidRequest
	case errors.Is(err, errDeleted):
		code = protocol.CodeUnknownTopic
	}
	return protocol.Topic{}, protocol.NewError(code, errors.Join(err, r.withdraw(ctx, made)).Error())
}

// errDeleted means that a topic was deleted before its creation had ended.
var errDeleted = errors.New("the topic was deleted while it was created")

// stands looks whether the record of a topic with all of its logs is still there. Another process may
// have deleted the topic before some of these logs existed.
func (r *Registry) stands(ctx context.Context, topic protocol.Topic) error {
	found, err := find(ctx, r.conn, topic.Name)
	switch {
	case err != nil:
		return err
	case found.revision == 0, found.ID != topic.ID, found.Deleted:
		return errDeleted
	}
	return nil
}

// markLogs writes the marks of the logs of a new topic, which have their first entry: from
// then on, an empty log is damaged. An owner may have written the mark before.
func (r *Registry) markLogs(ctx context.Context, topic protocol.Topic) error {
	store := marks.New(r.conn, r.js)
	first := messages.Position{Sequence: 1}
	partitions := make([]protocol.Partition, topic.Partitions)
	for n := range partitions {
		partitions[n] = topic.Partition(n)
	}
	return atOnce(partitions, func(p protocol.Partition) error {
		_, err := store.Put(ctx, p, messages.Mark{Owner: "creation", Written: first, Reserved: first}, 0)
		if errors.Is(err, marks.ErrMoved) {
			return nil
		}
		return err
	})
}

// createLogs creates the logs of all partitions. Their watermark is that of the present
// generation, which is read after the topic was registered. So a sweep that does not know the topic
// yet deletes nothing that its logs will refer to: what they accept is newer. A log without a
// watermark, which is 0, keeps sweeps from deleting anything until its owner has raised it.
func (r *Registry) createLogs(ctx context.Context, topic protocol.Topic) error {
	present, err := generation.Newest(ctx, r.conn)
	if err != nil {
		return err
	}
	watermark := core.Watermark(present)
	logs := make([]*partitionlog.Log, topic.Partitions)
	for n := range logs {
		logs[n] = partitionlog.New(r.conn, r.js, topic.Partition(n))
	}
	return partitionlog.CreateAll(ctx, logs, topic.Replicas, watermark)
}

// endFormer completes deletions of topics with the same name. If it fails, the deletion of
// the new topic will complete them.
func (r *Registry) endFormer(ctx context.Context, made record) {
	if len(made.Former) == 0 {
		return
	}
	const patience = 2 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_ = r.end(ctx, made.Topic, made.Former)
}

// claim adds the record of a topic if the registry has room for it, and retries while the
// registry changes.
func (r *Registry) claim(ctx context.Context, topic protocol.Topic) (record, error) {
	r.changes.Lock()
	defer r.changes.Unlock()
	for {
		former, last, err := r.room(ctx, topic.TopicConfig)
		if err != nil {
			return record{}, err
		}
		made := record{Topic: topic, Former: former}
		if made.revision, err = r.put(ctx, made, last); !errors.Is(err, errChanged) {
			return made, err
		}
	}
}

// withdraw removes the record and the logs of a failed creation, even if ctx has ended.
func (r *Registry) withdraw(ctx context.Context, made record) error {
	const patience = 5 * time.Second
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	gone, err := r.markDeleted(ctx, made.Name, made.ID)
	if known, ok := errors.AsType[*protocol.Error](err); ok && known.Code == protocol.CodeUnknownTopic {
		return r.removeLogs(ctx, made.Topic, []uint64{made.ID}) // another process has deleted the topic
	}
	if err != nil {
		return err
	}
	return r.end(ctx, gone.Topic, gone.ids())
}

// room checks whether the registry has room for a topic. It returns the ids of deleted
// topics with the same name that may still have logs, and the last revision of the bucket
// for which the result is valid.
func (r *Registry) room(ctx context.Context, config protocol.TopicConfig) (former []uint64, last uint64, err error) {
	var refused error
	last, err = r.look(ctx, func(existing []protocol.Topic) {
		if refused = hasRoom(existing, config.Partitions); refused == nil {
			refused = checkTopics(config.Name, config.Subjects, existing)
		}
	})
	if err != nil {
		return nil, 0, err
	}
	// A record that cannot be read keeps its name, too, because its logs still exist.
	found, err := find(ctx, r.conn, config.Name)
	switch {
	case err != nil:
		return nil, 0, err
	case found.Deleted:
		former = found.ids()
	case found.revision != 0:
		return nil, 0, protocol.NewError(protocol.CodeTopicExists, config.Name)
	}
	if refused != nil {
		return nil, 0, refused
	}
	own := protocol.ProducePrefix + config.Name + ".*"
	return former, last, r.checkStreams(ctx, append([]string{own}, config.Subjects...))
}

// hasRoom returns why a topic would exceed the limits; nil if it does not.
func hasRoom(existing []protocol.Topic, partitions int) error {
	if len(existing) >= protocol.MaxTopics {
		return protocol.Errorf(protocol.CodeTooManyTopics, "%d topics exist; at most %d are allowed", len(existing), protocol.MaxTopics)
	}
	taken := 0
	for i := range existing {
		taken += existing[i].Partitions
	}
	if taken+partitions > protocol.MaxAllPartitions {
		return protocol.Errorf(protocol.CodeTooManyTopics, "all topics have %d partitions and this one would add %d; at most %d are allowed",
			taken, partitions, protocol.MaxAllPartitions)
	}
	return nil
}

// put writes a topic's record if the bucket has not changed since revision last, and returns
// errChanged otherwise. It has a condition on the whole bucket instead of the key, because
// the record depends on the other topics.
func (r *Registry) put(ctx context.Context, made record, last uint64) (revision uint64, err error) {
	value, err := json.Marshal(made)
	if err != nil {
		return 0, protocol.AsError(err)
	}
	ack, err := r.js.PublishMsg(ctx, &nats.Msg{Subject: bucketSubject + made.Name, Data: value},
		jetstream.WithExpectLastSequence(last), jetstream.WithExpectStream(bucketStream), jetstream.WithRetryAttempts(0))
	switch {
	case kvbucket.IsConflict(err):
		return 0, errChanged
	case err != nil:
		return r.settle(ctx, made, err)
	}
	return ack.Sequence, nil
}

// settle finds out whether a record was written although its acknowledgement was lost.
func (r *Registry) settle(ctx context.Context, made record, cause error) (revision uint64, err error) {
	found, err := find(ctx, r.conn, made.Name)
	if err != nil {
		return 0, unavailable(errors.Join(cause, err))
	}
	if found.revision == 0 || found.ID != made.ID || found.Revision != made.Revision || !found.Equal(made.TopicConfig) {
		return 0, unavailable(cause)
	}
	return found.revision, nil
}
