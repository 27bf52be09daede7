package topics

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/partitionlog"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// FromLogs derives a topic whose record is lost from its logs: its name, id, number of partitions, and
// the replicas and incarnations of their logs. It has the number of logs of the cluster. Other fields are
// not set. An error with the code UNKNOWN_TOPIC means that there are no such logs.
func FromLogs(ctx context.Context, conn *nats.Conn, js jetstream.JetStream, name string) (protocol.Topic, error) {
	number, err := newRegistry(conn, js, nil).lookUpLogs(ctx)
	if err != nil {
		return protocol.Topic{}, err
	}
	return fromLogs(ctx, conn, js, name, number)
}

// fromLogs is FromLogs for a cluster with this number of logs.
func fromLogs(ctx context.Context, conn *nats.Conn, js jetstream.JetStream, name string, number int) (protocol.Topic, error) {
	if !protocol.ValidTopicName(name) {
		return protocol.Topic{}, protocol.Errorf(protocol.CodeInvalidTopicName, "%.80q", name)
	}
	logs, err := partitionlog.List(ctx, conn, js, partitionlog.Which{Topic: name})
	if err != nil {
		return protocol.Topic{}, err
	}
	topic := protocol.Topic{TopicConfig: protocol.TopicConfig{Name: name}, Logs: number}
	newest := make(map[int]partitionlog.Found)
	for _, l := range logs {
		if topic.ID != 0 && topic.ID != l.Partition.TopicID {
			return protocol.Topic{}, fmt.Errorf("the logs %s belong to several topics, with the ids %d and %d",
				partitionlog.Names(logs), topic.ID, l.Partition.TopicID)
		}
		topic.ID = l.Partition.TopicID
		topic.Replicas = int(l.Partition.Log)/number + 1 // those of the stream may have been changed by hand
		n := int(l.Partition.Number)
		topic.Partitions = max(topic.Partitions, n+1)
		if before, known := newest[n]; !known || newer(l, before) {
			newest[n] = l
		}
	}
	if topic.ID == 0 {
		return protocol.Topic{}, protocol.NewError(protocol.CodeUnknownTopic, name)
	}
	topic.Incarnations = make([]uint32, topic.Partitions)
	for n, l := range newest {
		topic.Incarnations[n] = l.Partition.Incarnation
		if p := topic.Partition(n); p.Log != l.Partition.Log {
			return protocol.Topic{}, fmt.Errorf("the log %s is in %s, but with %d logs, as bucket %s says, it would be in %s",
				l.Name, messages.JournalStream(l.Partition.Log), number, clusterBucket, messages.JournalStream(p.Log))
		}
	}
	return topic, nil
}

// newer reports whether a, and not b, is the current log of a partition. A repair that was
// interrupted, or was slower than another one, leaves a log that no owner has used.
func newer(a, b partitionlog.Found) bool {
	switch {
	case a.Used != b.Used:
		return a.Used
	case a.Finished != b.Finished:
		return a.Finished
	}
	return a.Partition.Incarnation > b.Partition.Incarnation
}
