package topics

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/pkg/protocol"
)

// checkTopics returns an error if a topic cannot be bound to subjects, because another one is bound to an
// overlapping subject.
func checkTopics(name string, subjects []string, existing []protocol.Topic) error {
	for i := range existing {
		if existing[i].Name == name {
			continue
		}
		for _, own := range subjects {
			for _, taken := range existing[i].Subjects {
				if protocol.SubjectsOverlap(own, taken) {
					return protocol.Errorf(protocol.CodeSubjectOverlap, "%s overlaps with %s of topic %s", own, taken, existing[i].Name)
				}
			}
		}
	}
	return nil
}

// checkStreams returns an error if a JetStream stream of the account has one of the
// subjects: it would store and acknowledge the same messages.
func (r *Registry) checkStreams(ctx context.Context, subjects []string) error {
	for _, own := range subjects {
		if err := r.checkStreamsFor(ctx, own); err != nil {
			return err
		}
	}
	return nil
}

func (r *Registry) checkStreamsFor(ctx context.Context, own string) error {
	found, err := r.Overlaps(ctx, own)
	if err == nil && len(found) > 0 {
		err = protocol.NewError(protocol.CodeSubjectOverlap, found[0].String())
	}
	return err
}

// Overlap is a JetStream stream with a subject of Laneway. It stores and acknowledges the
// same messages as Laneway, so that producers get two acknowledgements.
type Overlap struct {
	Own, Taken string // subjects
	Stream     string
}

// String describes the overlapping subjects.
func (o Overlap) String() string {
	return fmt.Sprintf("%s overlaps with %s of the JetStream stream %s", o.Own, o.Taken, o.Stream)
}

// Overlaps returns the JetStream streams with a subject that overlaps with own.
func (r *Registry) Overlaps(ctx context.Context, own string) (found []Overlap, err error) {
	ctx, cancel := context.WithCancel(ctx) // ends the listing
	defer cancel()
	names := r.js.StreamNames(ctx, jetstream.WithStreamListSubject(own))
	for name := range names.Name() {
		stream, err := r.js.Stream(ctx, name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			continue
		}
		if err != nil {
			return nil, unavailable(err)
		}
		// A cluster also lists a stream without subjects if its name matches.
		for _, taken := range stream.CachedInfo().Config.Subjects {
			if protocol.SubjectsOverlap(own, taken) {
				found = append(found, Overlap{own, taken, name})
			}
		}
	}
	if err := names.Err(); err != nil {
		return nil, unavailable(err)
	}
	return found, nil
}
