package topics

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/partitionlog"
	"laneway.dev/internal/replicated"
	"laneway.dev/pkg/messages"
)

// errChanged says that a topic was created or deleted meanwhile.
var errChanged = errors.New("the registry has changed")

// Create makes a topic and the log of each of its partitions. Of creations that
// exclude each other one succeeds, whichever processes they run in.
func (r *Registry) Create(ctx context.Context, config messages.TopicConfig) (messages.Topic, error) {
	config, err := config.Complete()
	if err != nil {
		return messages.Topic{}, err
	}
	r.changes.Lock()
	defer r.changes.Unlock()
	last, err := r.room(ctx, config)
	if err != nil {
		return messages.Topic{}, err
	}
	topic := messages.Topic{TopicConfig: config, ID: newID(), Created: time.Now().UTC()}
	err = r.eachLog(topic, func(l *partitionlog.Log) error { return l.Create(ctx, config.Replicas) })
	switch {
	case errors.Is(err, partitionlog.ErrTooFewServers):
		return messages.Topic{}, messages.NewError(messages.CodeInvalidRequest, err.Error())
	case err != nil:
		return messages.Topic{}, unavailable(err)
	}
	for {
		if err := r.add(ctx, topic, last); !errors.Is(err, errChanged) {
			return topic, err
		}
		if last, err = r.room(ctx, config); err != nil {
			return messages.Topic{}, errors.Join(err, r.eachLog(topic, func(l *partitionlog.Log) error { return l.Delete(ctx) }))
		}
	}
}

// room says whether the registry has room for a topic, and returns the last
// sequence of the bucket's stream for which that is true.
func (r *Registry) room(ctx context.Context, config messages.TopicConfig) (last uint64, err error) {
	// The leader knows for sure: its word keeps a stale list from hiding the topic.
	record, err := replicated.Get(ctx, r.conn, bucket, config.Name)
	if err != nil {
		return 0, unavailable(err)
	}
	if record.Exists {
		return 0, messages.NewError(messages.CodeTopicExists, config.Name)
	}
	existing, last, err := r.current(ctx)
	if err != nil {
		return 0, err
	}
	if err := hasRoom(existing, config.Partitions); err != nil {
		return 0, err
	}
	for _, topic := range existing {
		if err := checkTopic(config.Subjects, topic); err != nil {
			return 0, err
		}
	}
	return last, r.checkStreams(ctx, config.Subjects)
}

// current returns all topics, and the last sequence of the bucket's stream that
// this takes account of. A replica that lags may answer: it is asked again for a
// while. For ever would be too long, since a person may have removed the markers
// of deleted topics, and with them the last sequence.
func (r *Registry) current(ctx context.Context) ([]messages.Topic, uint64, error) {
	const attempts, pause = 20, 50 * time.Millisecond
	for n := 1; ; n++ {
		stream, err := r.js.Stream(ctx, bucketStream)
		if err != nil {
			return nil, 0, unavailable(err)
		}
		last := stream.CachedInfo().State.LastSeq
		existing, newest, err := r.list(ctx)
		if err != nil || newest >= last || n == attempts {
			return existing, max(newest, last), err
		}
		select {
		case <-ctx.Done():
			return nil, 0, unavailable(ctx.Err())
		case <-time.After(pause):
		}
	}
}

// hasRoom says why there is no room for one topic more beside others.
func hasRoom(existing []messages.Topic, partitions int) error {
	if len(existing) >= messages.MaxTopics {
		return messages.Errorf(messages.CodeTooManyTopics, "there are %d topics, allowed are %d", len(existing), messages.MaxTopics)
	}
	taken := 0
	for i := range existing {
		taken += existing[i].Partitions
	}
	if taken+partitions > messages.MaxAllPartitions {
		return messages.Errorf(messages.CodeTooManyTopics, "the topics have %d partitions, this one would add %d, allowed are %d together",
			taken, partitions, messages.MaxAllPartitions)
	}
	return nil
}

// add writes a topic's record if the bucket has not changed since sequence
// last, else it returns errChanged. It is kv.Create with another condition.
func (r *Registry) add(ctx context.Context, topic messages.Topic, last uint64) error {
	value, err := json.Marshal(topic)
	if err != nil {
		return messages.AsError(err)
	}
	_, err = r.js.PublishMsg(ctx, &nats.Msg{Subject: bucketSubject + topic.Name, Data: value},
		jetstream.WithExpectLastSequence(last), jetstream.WithExpectStream(bucketStream), jetstream.WithRetryAttempts(0))
	switch {
	case replicated.IsConflict(err):
		return errChanged
	case err != nil:
		return unavailable(err)
	}
	return nil
}
