package topics

import (
	"context"
	"errors"
	"slices"

	"laneway.dev/pkg/protocol"
)

// updateAttempts bounds how often an update reads the registry again because another change
// was faster.
const updateAttempts = 20

// Update changes the configuration of a topic, and returns the topic before and after it. If
// the update changes nothing, nothing is written, and both are the same.
//
// It replaces the topic's record by compare-and-set on the last revision of the whole bucket,
// like Create, because its subjects must not overlap with those of other topics. If another
// change was faster, the update is applied to the newest record. So concurrent updates of
// different fields all take effect, and of one field the last.
func (r *Registry) Update(ctx context.Context, update protocol.TopicUpdate) (before, after protocol.Topic, err error) {
	r.changes.Lock()
	defer r.changes.Unlock()
	for range updateAttempts {
		if before, after, err = r.replace(ctx, update); !errors.Is(err, errChanged) {
			return before, after, err
		}
	}
	return before, after, protocol.Errorf(protocol.CodeUnavailable, "topic %s was not updated: other topics are changed all the time", update.Name)
}

// replace is one attempt of Update. It returns errChanged if another change was faster.
func (r *Registry) replace(ctx context.Context, update protocol.TopicUpdate) (before, after protocol.Topic, err error) {
	// The list is read first: a record that changes after it changes the bucket, too.
	existing, last, err := r.list(ctx)
	if err != nil {
		return before, after, err
	}
	found, err := find(ctx, r.conn, update.Name)
	if err == nil && (found.revision == 0 || found.Deleted) {
		err = protocol.NewError(protocol.CodeUnknownTopic, update.Name)
	}
	if err != nil {
		return before, after, err
	}
	before = found.Topic
	config, err := update.ApplyTo(found.TopicConfig)
	switch {
	case err != nil:
		return before, before, err
	case config.Equal(found.TopicConfig):
		return before, before, nil
	}
	// A stream that overlaps with a subject that the topic already has is no reason to refuse
	// other changes.
	added := slices.DeleteFunc(slices.Clone(config.Subjects), func(s string) bool { return slices.Contains(before.Subjects, s) })
	err = checkTopics(config.Name, added, existing)
	if err == nil {
		err = r.checkStreams(ctx, added)
	}
	if err != nil {
		return before, before, err
	}
	found.TopicConfig = config
	found.Revision++
	_, err = r.put(ctx, found, last)
	return before, found.Topic, err
}
