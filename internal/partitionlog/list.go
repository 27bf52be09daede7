package partitionlog

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/pkg/messages"
)

// Found is a stream that holds a log.
type Found struct {
	Stream  string
	Topic   string
	TopicID uint64
}

// List returns the streams of the logs whose subjects match, in the order of their
// names, whether or not a topic owns them.
func List(ctx context.Context, js jetstream.JetStream, subjects string) ([]Found, error) {
	ctx, cancel := context.WithCancel(ctx) // ends the listing
	defer cancel()
	var found []Found
	streams := js.ListStreams(ctx, jetstream.WithStreamListSubject(subjects))
	for info := range streams.Info() {
		id, err := strconv.ParseUint(info.Config.Metadata[metadataTopicID], 10, 64)
		if err != nil || len(info.Config.Subjects) != 1 {
			continue // of somebody else
		}
		// _laneway.log.<topic>.<partition>.<topic id>
		const topic = 2
		if tokens := strings.Split(info.Config.Subjects[0], "."); len(tokens) > topic {
			found = append(found, Found{Stream: info.Config.Name, Topic: tokens[topic], TopicID: id})
		}
	}
	if err := streams.Err(); err != nil {
		return nil, fmt.Errorf("list the logs: %w", err)
	}
	slices.SortFunc(found, func(a, b Found) int { return cmp.Compare(a.Stream, b.Stream) })
	return found, nil
}

// Exists reports whether the stream is still there, and still of that topic.
func (f Found) Exists(ctx context.Context, js jetstream.JetStream) (bool, error) {
	again, err := List(ctx, js, messages.LogsOf(f.Topic))
	return slices.Contains(again, f), err
}

// Names returns the names of the streams of some logs, the first few of many.
func Names(logs []Found) string {
	const most = 5
	var names []string
	for _, f := range logs[:min(len(logs), most)] {
		names = append(names, f.Stream)
	}
	if more := len(logs) - most; more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(names, ", ")
}
