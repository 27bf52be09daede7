package partitionlog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// Found is a stream with a log, as JetStream lists it.
type Found struct {
	Name      string
	Partition protocol.Partition
	Last      uint64 // sequence of its last entry
	Replicas  int    // of the stream
	// Finished reports whether the stream is complete. It is false for the stream of an
	// interrupted repair.
	Finished bool
	// Used reports whether an owner has appended to the stream. If so, the topic's record has
	// named the stream at some time. A repair that was interrupted before that leaves an
	// unused stream.
	Used bool
}

// List returns the logs of a topic, or all logs if its id is 0, sorted by name. It includes those that
// belong to no topic.
func List(ctx context.Context, conn *nats.Conn, js jetstream.JetStream, topicID uint64) ([]Found, error) {
	if InJournals {
		return listShared(ctx, conn, js, topicID)
	}
	subjects := messages.LogWildcard
	if topicID != 0 {
		subjects = messages.LogsOf(topicID)
	}
	ctx, cancel := context.WithCancel(ctx) // ends the goroutine of the lister
	defer cancel()
	var found []Found
	streams := js.ListStreams(ctx, jetstream.WithStreamListSubject(subjects))
	for info := range streams.Info() {
		if f, ok := foundIn(info); ok {
			found = append(found, f)
		}
	}
	if err := streams.Err(); err != nil {
		return nil, fmt.Errorf("list the logs: %w", err)
	}
	slices.SortFunc(found, func(a, b Found) int { return cmp.Compare(a.Name, b.Name) })
	return found, nil
}

// foundIn describes the log of a stream; false if the stream has none.
func foundIn(info *jetstream.StreamInfo) (Found, bool) {
	metadata := info.Config.Metadata
	if len(info.Config.Subjects) != 1 {
		return Found{}, false
	}
	p, ok := messages.ParseLogSubject(info.Config.Subjects[0])
	if !ok || info.Config.Name != messages.LogName(p) {
		return Found{}, false
	}
	p.Topic = metadata[metadataTopic]
	written := uint64(1) // Create appends one entry
	finished := true
	if metadata[metadataAttempt] != "" {
		var err error
		written, err = strconv.ParseUint(metadata[metadataFinished], 10, 64)
		finished = err == nil
	}
	return Found{
		Name: info.Config.Name, Partition: p, Last: info.State.LastSeq, Replicas: info.Config.Replicas, Finished: finished, Used: finished && info.State.LastSeq > written,
	}, true
}

// Exists reports whether the log still exists.
func (f Found) Exists(ctx context.Context, conn *nats.Conn, js jetstream.JetStream) (bool, error) {
	_, err := New(conn, js, f.Partition).Bounds(ctx)
	if errors.Is(err, ErrNoLog) {
		return false, nil
	}
	return err == nil, err
}

// Names lists the names of logs, at most the first five.
func Names(logs []Found) string {
	const most = 5
	var names []string
	for _, f := range logs[:min(len(logs), most)] {
		names = append(names, f.Name)
	}
	if more := len(logs) - most; more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(names, ", ")
}
