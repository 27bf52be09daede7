package topics

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/kvbucket"
	"laneway.dev/internal/marks"
	"laneway.dev/internal/partitionlog"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// errChanged says that a topic was created or deleted meanwhile.
var errChanged = errors.New("the registry has changed")

// Create makes a topic and the log of each of its partitions. Of creations that
// exclude each other one succeeds, whichever processes they run in. The record
// comes first: a log without one counts as lost. What deleted topics of the name have left
// is not in the way, and is removed at the end.
func (r *Registry) Create(ctx context.Context, config protocol.TopicConfig) (protocol.Topic, error) {
	config, err := config.Complete()
	if err != nil {
		return protocol.Topic{}, err
	}
	r.changes.Lock()
	defer r.changes.Unlock()
	if err := r.LostLogs(ctx, config.Name); err != nil {
		return protocol.Topic{}, err
	}
	topic := protocol.Topic{TopicConfig: config, ID: newID(), Created: time.Now().UTC()}
	made, err := r.claim(ctx, topic)
	if err != nil {
		return protocol.Topic{}, err
	}
	err = r.createLogs(ctx, topic)
	if err == nil {
		err = r.markLogs(ctx, topic)
	}
	if err == nil {
		r.endFormer(ctx, made)
		return topic, nil
	}
	code := protocol.CodeUnavailable
	if errors.Is(err, partitionlog.ErrTooFewServers) {
		code = protocol.CodeInvalidRequest
	}
	return protocol.Topic{}, protocol.NewError(code, errors.Join(err, r.withdraw(ctx, made)).Error())
}

// markLogs writes down that the logs of a new topic have their first entry: from now on
// an empty one is damaged. An owner that was faster has marked its log itself.
func (r *Registry) markLogs(ctx context.Context, topic protocol.Topic) error {
	store, err := marks.Open(ctx, r.conn, r.js)
	if err != nil {
		return err
	}
	first := messages.Position{Sequence: 1}
	for n := range topic.Partitions {
		_, err := store.Put(ctx, topic.Partition(n), messages.Mark{Owner: "creation", Written: first, Reserved: first}, 0)
		if err != nil && !errors.Is(err, marks.ErrMoved) {
			return err
		}
	}
	return nil
}

// createLogs makes the logs of all partitions.
func (r *Registry) createLogs(ctx context.Context, topic protocol.Topic) error {
	logs := make([]*partitionlog.Log, topic.Partitions)
	for n := range logs {
		logs[n] = partitionlog.New(r.conn, r.js, topic.Partition(n))
	}
	return atOnce(logs, func(l *partitionlog.Log) error { return l.Create(ctx, topic.Replicas) })
}

// endFormer ends deletions of topics of the name. If it cannot, the deletion of this topic will.
func (r *Registry) endFormer(ctx context.Context, made record) {
	if len(made.Former) == 0 {
		return
	}
	const patience = 2 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_ = r.end(ctx, made.Name, made.Former)
}

// claim adds the record of a topic when there is room for it.
func (r *Registry) claim(ctx context.Context, topic protocol.Topic) (record, error) {
	for {
		former, last, err := r.room(ctx, topic.TopicConfig)
		if err != nil {
			return record{}, err
		}
		made := record{Topic: topic, Former: former}
		if made.revision, err = r.add(ctx, made, last); !errors.Is(err, errChanged) {
			return made, err
		}
	}
}

// withdraw removes what a creation that failed has made, also when ctx has ended.
func (r *Registry) withdraw(ctx context.Context, made record) error {
	const patience = 5 * time.Second
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	made.Deleted = true
	if _, err := r.update(ctx, made); err != nil {
		return err
	}
	return r.end(ctx, made.Name, made.ids())
}

// room says whether the registry has room for a topic. It returns the ids of the deleted topics
// of the name whose logs may still be there, and the last sequence of the bucket's stream
// for which all that is true.
func (r *Registry) room(ctx context.Context, config protocol.TopicConfig) (former []uint64, last uint64, err error) {
	existing, last, err := r.list(ctx)
	if err != nil {
		return nil, 0, err
	}
	// Also a record that cannot be read keeps its name: its logs are still there.
	found, err := find(ctx, r.conn, config.Name)
	switch {
	case err != nil:
		return nil, 0, err
	case found.Deleted:
		former = found.ids()
	case found.revision != 0:
		return nil, 0, protocol.NewError(protocol.CodeTopicExists, config.Name)
	}
	if err := hasRoom(existing, config.Partitions); err != nil {
		return nil, 0, err
	}
	for _, topic := range existing {
		if topic.Name == config.Name {
			return nil, 0, protocol.NewError(protocol.CodeTopicExists, config.Name)
		}
		if err := checkTopic(config.Subjects, topic); err != nil {
			return nil, 0, err
		}
	}
	own := protocol.ProducePrefix + config.Name + ".*"
	return former, last, r.checkStreams(ctx, append([]string{own}, config.Subjects...))
}

// hasRoom says why there is no room for one topic more beside others.
func hasRoom(existing []protocol.Topic, partitions int) error {
	if len(existing) >= protocol.MaxTopics {
		return protocol.Errorf(protocol.CodeTooManyTopics, "there are %d topics, allowed are %d", len(existing), protocol.MaxTopics)
	}
	taken := 0
	for i := range existing {
		taken += existing[i].Partitions
	}
	if taken+partitions > protocol.MaxAllPartitions {
		return protocol.Errorf(protocol.CodeTooManyTopics, "the topics have %d partitions, this one would add %d, allowed are %d together",
			taken, partitions, protocol.MaxAllPartitions)
	}
	return nil
}

// add writes a topic's record if the bucket has not changed since sequence
// last, else it returns errChanged. It is kv.Create with another condition.
func (r *Registry) add(ctx context.Context, made record, last uint64) (revision uint64, err error) {
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

// settle finds out whether a record is there although its acknowledgement is not.
func (r *Registry) settle(ctx context.Context, made record, cause error) (revision uint64, err error) {
	found, err := find(ctx, r.conn, made.Name)
	if err != nil {
		return 0, unavailable(errors.Join(cause, err))
	}
	if found.revision == 0 || found.ID != made.ID {
		return 0, unavailable(cause)
	}
	return found.revision, nil
}
