package topics

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/partitionlog"
	"laneway.dev/pkg/protocol"
)

// FromLogs returns what the streams of logs tell of a topic whose record is lost: its
// name, id, number of partitions and the incarnations of their logs. Everything else
// is left out. An error of code CodeUnknownTopic says that there are no such streams.
func FromLogs(ctx context.Context, js jetstream.JetStream, name string) (protocol.Topic, error) {
	if !protocol.ValidTopicName(name) {
		return protocol.Topic{}, protocol.Errorf(protocol.CodeInvalidTopicName, "%.80q", name)
	}
	topic := protocol.Topic{TopicConfig: protocol.TopicConfig{Name: name}}
	prefix := strings.TrimSuffix(protocol.Partition{Topic: name}.Stream(), "0")
	streams := js.ListStreams(ctx)
	for info := range streams.Info() {
		rest, ours := strings.CutPrefix(info.Config.Name, prefix)
		id, known := partitionlog.TopicID(info)
		if !ours || !known || partitionlog.Unfinished(info) {
			continue
		}
		number, incarnation, ok := logNumbers(rest)
		switch {
		case !ok:
			continue // of a topic whose name begins with this one's
		case topic.ID != 0 && topic.ID != id:
			return protocol.Topic{}, fmt.Errorf("the streams %s* belong to several topics, with the ids %d and %d", prefix, topic.ID, id)
		}
		topic.ID = id
		topic.Partitions = max(topic.Partitions, number+1)
		for len(topic.Incarnations) <= number {
			topic.Incarnations = append(topic.Incarnations, 0)
		}
		topic.Incarnations[number] = max(topic.Incarnations[number], incarnation)
	}
	if err := streams.Err(); err != nil {
		return protocol.Topic{}, fmt.Errorf("list the streams: %w", err)
	}
	if topic.ID == 0 {
		return protocol.Topic{}, protocol.NewError(protocol.CodeUnknownTopic, name)
	}
	return topic, nil
}

// logNumbers reads what the name of a log's stream ends in.
func logNumbers(rest string) (partition int, incarnation uint32, ok bool) {
	number, version, continued := strings.Cut(rest, "_")
	partition, err := strconv.Atoi(number)
	if err != nil || partition < 0 || partition >= protocol.MaxPartitions || strconv.Itoa(partition) != number {
		return 0, 0, false
	}
	if !continued {
		return partition, 0, true
	}
	n, err := strconv.ParseUint(version, 10, 32)
	return partition, uint32(n), err == nil
}
