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
// comes first: only who has it may touch streams of the topic's name.
func (r *Registry) Create(ctx context.Context, config protocol.TopicConfig) (protocol.Topic, error) {
	config, err := config.Complete()
	if err != nil {
		return protocol.Topic{}, err
	}
	r.changes.Lock()
	defer r.changes.Unlock()
	if err := r.clear(ctx, config.Name); err != nil {
		return protocol.Topic{}, err
	}
	topic := protocol.Topic{TopicConfig: config, ID: newID(), Created: time.Now().UTC()}
	revision, err := r.claim(ctx, topic)
	if err != nil {
		return protocol.Topic{}, err
	}
	err = r.eachLog(topic, func(l *partitionlog.Log) error { return l.Create(ctx, config.Replicas) })
	if err == nil {
		err = r.markLogs(ctx, topic)
	}
	if err == nil {
		return topic, nil
	}
	code := protocol.CodeUnavailable
	if errors.Is(err, partitionlog.ErrTooFewServers) {
		code = protocol.CodeInvalidRequest
	}
	return protocol.Topic{}, protocol.NewError(code, errors.Join(err, r.withdraw(ctx, topic, revision)).Error())
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

// claim adds the record of a topic when there is room for it.
func (r *Registry) claim(ctx context.Context, topic protocol.Topic) (revision uint64, err error) {
	for {
		last, err := r.room(ctx, topic.TopicConfig)
		if err != nil {
			return 0, err
		}
		revision, err := r.add(ctx, topic, last)
		if !errors.Is(err, errChanged) {
			return revision, err
		}
	}
}

// withdraw removes what a creation that failed has made, also when ctx has ended.
func (r *Registry) withdraw(ctx context.Context, topic protocol.Topic, revision uint64) error {
	const patience = 5 * time.Second
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	return errors.Join(
		r.eachLog(topic, func(l *partitionlog.Log) error { return l.Delete(ctx) }),
		r.kv.Delete(ctx, topic.Name, jetstream.LastRevision(revision)))
}

// room says whether the registry has room for a topic, and returns the last
// sequence of the bucket's stream for which that is true.
func (r *Registry) room(ctx context.Context, config protocol.TopicConfig) (last uint64, err error) {
	// Also a record that cannot be read keeps its name: its logs are still there.
	record, err := kvbucket.Get(ctx, r.conn, bucket, config.Name)
	if err != nil {
		return 0, unavailable(err)
	}
	if record.Exists {
		return 0, protocol.NewError(protocol.CodeTopicExists, config.Name)
	}
	existing, last, err := r.list(ctx)
	if err != nil {
		return 0, err
	}
	if err := hasRoom(existing, config.Partitions); err != nil {
		return 0, err
	}
	for _, topic := range existing {
		if topic.Name == config.Name {
			return 0, protocol.NewError(protocol.CodeTopicExists, config.Name)
		}
		if err := checkTopic(config.Subjects, topic); err != nil {
			return 0, err
		}
	}
	own := protocol.ProducePrefix + config.Name + ".*"
	return last, r.checkStreams(ctx, append([]string{own}, config.Subjects...))
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
func (r *Registry) add(ctx context.Context, topic protocol.Topic, last uint64) (revision uint64, err error) {
	value, err := json.Marshal(topic)
	if err != nil {
		return 0, protocol.AsError(err)
	}
	ack, err := r.js.PublishMsg(ctx, &nats.Msg{Subject: bucketSubject + topic.Name, Data: value},
		jetstream.WithExpectLastSequence(last), jetstream.WithExpectStream(bucketStream), jetstream.WithRetryAttempts(0))
	switch {
	case kvbucket.IsConflict(err):
		return 0, errChanged
	case err != nil:
		return r.settle(ctx, topic, err)
	}
	return ack.Sequence, nil
}

// settle finds out whether a record is there although its acknowledgement is not.
func (r *Registry) settle(ctx context.Context, topic protocol.Topic, cause error) (revision uint64, err error) {
	record, err := kvbucket.Get(ctx, r.conn, bucket, topic.Name)
	if err != nil {
		return 0, unavailable(errors.Join(cause, err))
	}
	if found, err := decode(topic.Name, record.Value); !record.Exists || err != nil || found.ID != topic.ID {
		return 0, unavailable(cause)
	}
	return record.Revision, nil
}
