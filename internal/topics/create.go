package topics

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/partitionlog"
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
	if err := r.eachLog(topic, func(l *partitionlog.Log) error { return l.Create(ctx) }); err != nil {
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
	stream, err := r.js.Stream(ctx, bucketStream)
	if err != nil {
		return 0, unavailable(err)
	}
	existing, err := r.List(ctx) // may be younger than last, which add will notice
	if err != nil {
		return 0, err
	}
	if len(existing) >= messages.MaxTopics {
		return 0, messages.Errorf(messages.CodeInvalidRequest, "there are %d topics, which is the limit", len(existing))
	}
	for _, topic := range existing {
		if topic.Name == config.Name {
			return 0, messages.NewError(messages.CodeTopicExists, config.Name)
		}
		if err := checkTopic(config.Subjects, topic); err != nil {
			return 0, err
		}
	}
	return stream.CachedInfo().State.LastSeq, r.checkStreams(ctx, config.Subjects)
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
	case partitionlog.Moved(err):
		return errChanged
	case err != nil:
		return unavailable(err)
	}
	return nil
}
