package topics

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"laneway.dev/internal/topics"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/frontend/api"
)

const (
	// watchInterval is how often JetStream is asked for streams with subjects of Laneway. Each
	// time, the next subjectsAtOnce subjects are checked: 1,000 bound subjects take about half
	// a minute.
	watchInterval  = 2 * time.Second
	subjectsAtOnce = 64
	// surveyInterval is how often all metadata is checked again after a problem was found.
	surveyInterval = 30 * time.Second
)

// findings are the problems that were found. They are immutable.
type findings struct {
	survey   topics.Survey
	overlaps []topics.Overlap // in the order of their subjects
}

// Watch looks for problems of the metadata and for streams on Laneway's subjects. Run belongs
// to one goroutine; the other methods are safe for concurrent use.
type Watch struct {
	registry *topics.Registry
	log      *zap.Logger
	bound    func() []string // returns the subjects that topics are bound to
	found    atomic.Pointer[findings]

	surveyed time.Time       // of the last survey; zero before the first
	next     int             // index of the next subject to check
	logged   map[string]bool // problems that were logged and still exist
}

// NewWatch returns a watch without findings. bound returns the subjects that topics are bound
// to.
func NewWatch(registry *topics.Registry, log *zap.Logger, bound func() []string) *Watch {
	w := &Watch{registry: registry, log: log, bound: bound, logged: make(map[string]bool)}
	w.found.Store(&findings{})
	return w
}

// Survey returns the problems of the metadata. The caller MUST NOT modify the result.
func (w *Watch) Survey() *topics.Survey { return &w.found.Load().survey }

// Overlaps returns the number of JetStream streams on Laneway's subjects.
func (w *Watch) Overlaps() int { return len(w.found.Load().overlaps) }

// Run watches until ctx ends.
func (w *Watch) Run(ctx context.Context) {
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
}

// look checks the metadata, if that is due, and the next subjects. If JetStream does not
// answer, the next call repeats the check.
func (w *Watch) look(ctx context.Context, now time.Time) {
	ctx, cancel := context.WithTimeout(ctx, api.Timeout)
	defer cancel()
	found := *w.found.Load()
	if w.surveyed.IsZero() || found.survey.Err() != nil && now.Sub(w.surveyed) >= surveyInterval {
		if survey, err := w.registry.Survey(ctx); err == nil {
			found.survey, w.surveyed = survey, now
		}
	}
	found.overlaps = w.askForStreams(ctx, found.overlaps)
	w.found.Store(&found)
	w.report(&found)
}

// askForStreams looks up the streams on the next subjects. It returns the known overlaps, with
// those of these subjects replaced.
func (w *Watch) askForStreams(ctx context.Context, known []topics.Overlap) []topics.Overlap {
	subjects := w.subjects()
	known = slices.DeleteFunc(slices.Clone(known), func(o topics.Overlap) bool {
		return !slices.Contains(subjects, o.Own) // of a topic that was deleted
	})
	for range min(subjectsAtOnce, len(subjects)) {
		w.next %= len(subjects)
		own := subjects[w.next]
		found, err := w.registry.Overlaps(ctx, own)
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
	return known
}

// subjects returns Laneway's own subjects, and those that topics are bound to.
func (w *Watch) subjects() []string {
	subjects := append([]string{protocol.PublicWildcard}, w.bound()...)
	slices.Sort(subjects[1:])
	return slices.Compact(subjects)
}

// report logs each problem once when it is found, and once when it is solved.
func (w *Watch) report(found *findings) {
	log := w.log
	present := make(map[string]bool)
	say := func(what string, level func(string, ...zap.Field), fields ...zap.Field) {
		present[what] = true
		if !w.logged[what] {
			level(what, fields...)
		}
	}
	for _, err := range found.survey.Unreadable {
		say(fmt.Sprintf("the record of a topic cannot be read, and the topic is not served; restore the bucket from a copy: %v", err), log.Error)
	}
	for _, err := range found.survey.Outdated {
		say(err.Error(), log.Error)
	}
	for _, name := range found.survey.Topics() {
		say(fmt.Sprintf("%v; what to do: %s", found.survey.ErrOf(name), protocol.CodeLogWithoutTopic.Kind().Action), log.Error)
	}
	for _, stream := range found.survey.Remade {
		say("stream "+stream+" was lost and created again, empty, although logs exist; its content is lost", log.Error)
	}
	for _, o := range found.overlaps {
		say("a JetStream stream stores and acknowledges what is published to Laneway: remove it or change its subjects: "+o.String(), log.Warn)
	}
	for what := range w.logged {
		if !present[what] {
			log.Info("solved: " + what)
		}
	}
	w.logged = present
}

// warnings returns the warnings for users of a topic.
func (w *Watch) warnings(topic protocol.Topic) (warnings []string) {
	for _, o := range w.found.Load().overlaps {
		own := append([]string{protocol.ProducePrefix + topic.Name + ".*", protocol.FetchPrefix + topic.Name + ".*"}, topic.Subjects...)
		if slices.ContainsFunc(own, func(subject string) bool { return protocol.SubjectsOverlap(subject, o.Taken) }) {
			warnings = append(warnings, o.String()+", which stores and acknowledges the same messages")
		}
	}
	return slices.Compact(warnings)
}
