package topics

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/pkg/messages"
)

// checkTopic says which of the subjects an existing topic is bound to already.
func checkTopic(subjects []string, existing messages.Topic) error {
	for _, own := range subjects {
		for _, taken := range existing.Subjects {
			if messages.SubjectsOverlap(own, taken) {
				return messages.Errorf(messages.CodeSubjectOverlap, "%s overlaps with %s of topic %s", own, taken, existing.Name)
			}
		}
	}
	return nil
}

// checkStreams says which of the subjects a JetStream stream of the account
// listens to already: it would store and acknowledge the same messages.
func (r *Registry) checkStreams(ctx context.Context, subjects []string) error {
	for _, own := range subjects {
		if err := r.checkStreamsFor(ctx, own); err != nil {
			return err
		}
	}
	return nil
}

func (r *Registry) checkStreamsFor(ctx context.Context, own string) error {
	ctx, cancel := context.WithCancel(ctx) // ends the listing
	defer cancel()
	names := r.js.StreamNames(ctx, jetstream.WithStreamListSubject(own))
	for name := range names.Name() {
		stream, err := r.js.Stream(ctx, name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			continue
		}
		if err != nil {
			return unavailable(err)
		}
		// A cluster also lists a stream without subjects whose name looks like one.
		for _, taken := range stream.CachedInfo().Config.Subjects {
			if messages.SubjectsOverlap(own, taken) {
				return messages.Errorf(messages.CodeSubjectOverlap, "%s overlaps with %s of the JetStream stream %s", own, taken, name)
			}
		}
	}
	if err := names.Err(); err != nil {
		return unavailable(err)
	}
	return nil
}
