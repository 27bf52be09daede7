package frontend

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"laneway.dev/internal/topics"
	"laneway.dev/pkg/protocol"
)

const (
	// watchInterval is how often JetStream is asked for streams that listen to
	// subjects of Laneway's, and subjectsAtOnce how many subjects are asked for then:
	// the next ones follow the next time.
	watchInterval  = 2 * time.Second
	subjectsAtOnce = 64
	// surveyInterval is how often all metadata is looked at again after something was
	// found wrong.
	surveyInterval = 30 * time.Second
)

// findings are what is wrong beside the service itself. They do not change.
type findings struct {
	survey   topics.Survey
	overlaps []topics.Overlap // in the order of their subjects
}

// watch looks at what others may have done to the metadata and the subjects of
// Laneway. It belongs to one goroutine.
type watch struct {
	service  *Service
	found    findings
	surveyed time.Time // zero: not yet
	next     int       // the subject to ask for next
	told     map[string]bool
}

// watchOthers starts the watch.
func (s *Service) watchOthers(ctx context.Context) {
	s.wait.Go(func() {
		w := &watch{service: s, told: make(map[string]bool)}
		tick := time.NewTicker(watchInterval)
		defer tick.Stop()
		for {
			w.look(ctx, time.Now())
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
}

// look asks JetStream once. What it does not answer is asked for the next time.
func (w *watch) look(ctx context.Context, now time.Time) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	due := w.surveyed.IsZero() || w.found.survey.Err() != nil && now.Sub(w.surveyed) >= surveyInterval
	if due {
		if survey, err := w.service.registry.Survey(ctx); err == nil {
			w.found.survey, w.surveyed = survey, now
		}
	}
	w.askForStreams(ctx)
	found := w.found
	w.service.findings.Store(&found)
	w.tell()
}

// askForStreams asks for the streams that listen to some of the subjects, and replaces
// what was known of these.
func (w *watch) askForStreams(ctx context.Context) {
	subjects := w.service.subjects()
	known := slices.DeleteFunc(slices.Clone(w.found.overlaps), func(o topics.Overlap) bool {
		return !slices.Contains(subjects, o.Own) // of a topic that was deleted
	})
	for range min(subjectsAtOnce, len(subjects)) {
		w.next %= len(subjects)
		own := subjects[w.next]
		found, err := w.service.registry.Overlaps(ctx, own)
		if err != nil {
			break
		}
		known = slices.DeleteFunc(known, func(o topics.Overlap) bool { return o.Own == own })
		known = append(known, found...)
		w.next++
	}
	slices.SortFunc(known, func(a, b topics.Overlap) int {
		return cmp.Or(strings.Compare(a.Own, b.Own), strings.Compare(a.Stream, b.Stream), strings.Compare(a.Taken, b.Taken))
	})
	w.found.overlaps = known
}

// subjects returns what this frontend serves: Laneway's own subjects, and those that
// topics are bound to.
func (s *Service) subjects() []string {
	subjects := []string{protocol.PublicWildcard}
	for _, p := range s.set.Actors() {
		subjects = append(subjects, p.topic.Subjects...)
	}
	slices.Sort(subjects[1:])
	return slices.Compact(subjects)
}

// tell logs what is new, once, and what is over.
func (w *watch) tell() {
	log := w.service.config.Logger
	present := make(map[string]bool)
	say := func(what string, level func(string, ...zap.Field), fields ...zap.Field) {
		present[what] = true
		if !w.told[what] {
			level(what, fields...)
		}
	}
	for _, err := range w.found.survey.Unreadable {
		say(fmt.Sprintf("the record of a topic cannot be read, and the topic is not served; restore the bucket from a copy: %v", err), log.Error)
	}
	for _, name := range w.found.survey.Topics() {
		say(fmt.Sprintf("%v; what to do: %s", w.found.survey.ErrOf(name), protocol.CodeLogWithoutTopic.Kind().Action), log.Error)
	}
	for _, stream := range w.found.survey.Remade {
		say("stream "+stream+" was lost and was made again, empty, although logs exist; what it held is gone", log.Error)
	}
	for _, o := range w.found.overlaps {
		say("a JetStream stream stores and acknowledges what is published to Laneway: remove it or change its subjects: "+o.String(), log.Warn)
	}
	for what := range w.told {
		if !present[what] {
			log.Info("this is over: " + what)
		}
	}
	w.told = present
}

// warnings returns what a user of a topic must know.
func (s *Service) warnings(topic protocol.Topic) (warnings []string) {
	for _, o := range s.findings.Load().overlaps {
		own := append([]string{protocol.ProducePrefix + topic.Name + ".*", protocol.FetchPrefix + topic.Name + ".*"}, topic.Subjects...)
		if slices.ContainsFunc(own, func(subject string) bool { return protocol.SubjectsOverlap(subject, o.Taken) }) {
			warnings = append(warnings, o.String()+", which stores and acknowledges the same messages")
		}
	}
	return slices.Compact(warnings)
}
