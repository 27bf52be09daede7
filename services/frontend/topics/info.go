package topics

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"laneway.dev/internal/partitionlog"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/frontend/api"
)

const (
	// logPatience bounds the wait for the state of one log.
	logPatience = 2 * time.Second
	// storePatience bounds the wait for all manifests of a topic. The answer does not depend on them.
	storePatience = 2 * time.Second
	// manifestsAtOnce is how many manifests are read at the same time.
	manifestsAtOnce = 16
)

func (a *API) topicInfo(ctx context.Context, data []byte) (any, error) {
	var request protocol.TopicRequest
	if err := api.Decode(data, &request); err != nil {
		return nil, err
	}
	topic, err := a.config.Registry.Get(ctx, request.Name)
	if lost := a.config.Watch.Survey().ErrOf(request.Name); err != nil && lost != nil {
		err = lost
	}
	if err != nil {
		return nil, err
	}
	response := protocol.TopicResponse{Topic: &topic, Warnings: a.config.Watch.warnings(topic)}
	damage := a.config.Damage()
	histories := make([]messages.History, topic.Partitions)
	for n := range topic.Partitions {
		id := topic.Partition(n)
		info := protocol.PartitionInfo{Partition: id.Number, Stream: id.Stream(), LogStream: messages.JournalStream(id.Log), Damage: damage[id].Damage}
		histories[n], err = a.describeLog(ctx, topic, &info)
		if err != nil && a.config.Registry.Gone(ctx, id) {
			return nil, protocol.NewError(protocol.CodeUnknownTopic, request.Name)
		}
		if err != nil && info.Damage == "" {
			return nil, protocol.NewError(protocol.CodeUnavailable, err.Error())
		}
		response.Partitions = append(response.Partitions, info)
	}
	if err := a.describeHistories(ctx, topic, histories, response.Partitions); err != nil {
		response.Warnings = append(response.Warnings, fmt.Sprintf("the segments of some partitions are not known: %v", err))
	}
	return response, nil
}

// describeLog looks up the state of a log. It may fail for a damaged log.
func (a *API) describeLog(ctx context.Context, topic protocol.Topic, info *protocol.PartitionInfo) (messages.History, error) {
	ctx, cancel := context.WithTimeout(ctx, logPatience)
	defer cancel()
	log := partitionlog.New(a.config.Conn, a.config.JS, topic.Partition(int(info.Partition)))
	ask := log.State
	if info.Damage != "" {
		ask = log.DamagedState
	}
	state, err := ask(ctx)
	h := state.History
	switch {
	case err != nil:
	case h.Archived():
		info.StartOffset = h.Start
	case state.Entries > 0:
		info.StartOffset, err = log.Begin(ctx, state.FirstSequence)
	}
	info.EndOffset, info.Entries, info.LogBytes, info.ArchivedOffset = state.NextOffset, state.Entries, state.Bytes, h.End.Offset
	if err == nil && info.StartOffset >= h.End.Offset && info.StartOffset < info.EndOffset {
		var at int64
		at, err = log.TimeOf(ctx, max(state.FirstSequence, h.End.Sequence+1))
		info.OldestTime = oldest(topic, at)
	}
	return h, err
}

// describeHistories reads the manifests of the partitions of which something is archived. It returns
// one of the errors, and the others are described nevertheless.
func (a *API) describeHistories(ctx context.Context, topic protocol.Topic, histories []messages.History, infos []protocol.PartitionInfo) error {
	ctx, cancel := context.WithTimeout(ctx, storePatience)
	defer cancel()
	var group errgroup.Group
	group.SetLimit(manifestsAtOnce)
	for n, h := range histories {
		if !h.Archived() {
			continue
		}
		group.Go(func() error {
			size, err := a.config.Segments(ctx, topic.Partition(n), h)
			if err != nil {
				return err
			}
			info := &infos[n]
			info.Segments, info.SegmentBytes = size.Segments, size.Bytes
			if info.StartOffset < info.ArchivedOffset {
				info.OldestTime = oldest(topic, size.Oldest)
			}
			return nil
		})
	}
	return group.Wait()
}

// oldest returns the time of the first entry that is kept, in Unix nanoseconds. The entry that begins a log
// has none: then no record is older than the topic.
func oldest(topic protocol.Topic, at int64) *time.Time {
	if at == 0 {
		return new(topic.Created.UTC())
	}
	return new(time.Unix(0, at).UTC())
}
