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

	core "laneway.dev/internal/core/journal"
	"laneway.dev/internal/journal"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// Found is a log, as its journal has it.
type Found struct {
	Name      string
	Partition protocol.Partition
	Last      uint64 // sequence of its last entry
	Replicas  int    // of the journal
	// Finished reports whether the log is complete. It is false for the log of an interrupted repair.
	Finished bool
	// Used reports whether an owner has appended to the log. If so, the topic's record has named it at
	// some time. A repair that was interrupted before that leaves an unused log.
	Used bool
}

// Which selects logs: those of all topics, unless an id or a name is given.
type Which struct {
	TopicID uint64
	Topic   string // its name
}

func (w Which) has(id messages.LogID, state core.State) bool {
	return (w.TopicID == 0 || w.TopicID == id.TopicID) && (w.Topic == "" || w.Topic == state.Topic)
}

// List returns logs, sorted by name. It includes those that belong to no topic.
func List(ctx context.Context, conn *nats.Conn, js jetstream.JetStream, which Which) ([]Found, error) {
	ctx, cancel := context.WithCancel(ctx) // ends the goroutine of the lister
	defer cancel()
	if err := refuseOlder(ctx, js); err != nil {
		return nil, err
	}
	var found []Found
	streams := js.ListStreams(ctx, jetstream.WithStreamListSubject(messages.JournalWildcard))
	for info := range streams.Info() {
		log, err := strconv.ParseUint(strings.TrimPrefix(info.Config.Name, messages.JournalStreamPrefix), 10, 16)
		if err != nil {
			continue // it is none of ours
		}
		logs, err := journal.Logs.Of(conn, js, uint16(log)).Logs(ctx, which.has)
		if err != nil {
			return nil, err
		}
		for id, state := range logs {
			p := protocol.Partition{Topic: state.Topic, TopicID: id.TopicID, Number: id.Number, Incarnation: id.Incarnation, Log: uint16(log)}
			found = append(found, Found{
				Name: messages.LogName(p), Partition: p, Last: state.Last, Replicas: info.Config.Replicas,
				Finished: state.Stage != messages.StageCopying, Used: state.Stage == messages.StageOwned || state.Stage == messages.StageSealed,
			})
		}
	}
	if err := streams.Err(); err != nil {
		return nil, fmt.Errorf("list the journals: %w", err)
	}
	slices.SortFunc(found, func(a, b Found) int { return cmp.Compare(a.Name, b.Name) })
	return found, nil
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
