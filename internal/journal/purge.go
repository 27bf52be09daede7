package journal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	core "laneway.dev/internal/core/journal"
	"laneway.dev/internal/streamread"
	"laneway.dev/pkg/messages"
)

const (
	// leastGarbage is how many bytes of entries are not needed when a journal is purged. There are
	// also half as many as are needed, so that each byte is appended again a few times at most.
	leastGarbage = 1 << 20
	// purgePause is the time between two purges, and purgeTimeout bounds one.
	purgePause   = time.Second
	purgeTimeout = 5 * time.Minute
	// againAtOnce bounds the entries that are appended again at the same time, and againBytes about
	// how much of the journal is in memory for that.
	againAtOnce = 1024
	againBytes  = 8 << 20
)

// Trim appends that a log needs its entries only from a sequence on, and its last one. Those below do
// not belong to the log any more, and are removed later, together with those of other logs. An error may
// be that of an earlier removal. Only the process of the owner trims a log.
func (j *Journal) Trim(ctx context.Context, id messages.LogID, from uint64) error {
	var before error // that of an earlier removal
	due := false
	err := j.ask(ctx, false, func(x *core.Index) {
		state, exists := x.State(id)
		due = exists && min(from, state.Last) > state.First
		j.trims, before = true, j.purgeErr
	})
	if err == nil && due {
		_, err = j.Append(ctx, 0, messages.Section{Log: id, Kind: messages.SectionTrimmed, Sequence: from})
	}
	return errors.Join(err, before)
}

// purged reports the end of a purge.
type purged struct {
	at  time.Time
	err error
}

// maybePurge begins a purge if it is due. It belongs to the goroutine of the journal.
func (j *Journal) maybePurge(ctx context.Context, now time.Time) {
	garbage, needed := j.core.Index().Garbage()
	if !j.trims || j.purging || now.Sub(j.purgedAt) < purgePause || garbage < max(leastGarbage, needed/2) {
		return
	}
	j.purging = true
	j.work.Go(func() {
		err := j.purge(ctx, garbage)
		_ = j.mailbox.Add(purged{time.Now(), err}) // an error means that the actor has ended
	})
}

// purge removes the groups that no log needs. Those with the last entries of idle logs would hold it
// back, so these entries are appended again first.
func (j *Journal) purge(ctx context.Context, garbage int64) error {
	ctx, cancel := context.WithTimeout(ctx, purgeTimeout)
	defer cancel()
	var bound, below uint64
	var idle map[messages.LogID]uint64 // sequences of the last entries, which are appended again
	var places []uint64                // of these entries, rising
	plan := func(x *core.Index) {
		if bound == 0 {
			bound = x.Last() // the last group is kept
		}
		var again []messages.LogID
		below, again = x.Purgeable(bound)
		idle, places = make(map[messages.LogID]uint64, len(again)), nil
		for _, id := range again {
			state, _ := x.State(id)
			_, place, _ := x.Places(id, state.Last, 1, 0)
			idle[id], places = state.Last, append(places, place...)
		}
		// It counts as removed now. If other logs hold the purge back, the next one waits until there is
		// as much again.
		x.Purged(garbage)
		garbage = 0
	}
	if err := j.ask(ctx, false, plan); err != nil {
		return err
	}
	if err := j.appendAgain(ctx, idle, slices.Compact(places)); err != nil {
		return err
	}
	if err := j.ask(ctx, false, plan); err != nil {
		return err
	}
	if len(places) > 0 { // of logs that could not be appended to
		below = min(below, places[0])
	}
	stream, err := j.config.JS.Stream(ctx, j.stream)
	if err != nil {
		return fmt.Errorf("look up stream %s: %w", j.stream, err)
	}
	if state := stream.CachedInfo().State; below <= state.FirstSeq || below > state.LastSeq {
		return nil
	}
	if err := stream.Purge(ctx, jetstream.WithPurgeSequence(below)); err != nil {
		return fmt.Errorf("purge stream %s below sequence %d: %w", j.stream, below, err)
	}
	return nil
}

// appendAgain appends the last entries of idle logs again, which stand at these places.
func (j *Journal) appendAgain(ctx context.Context, idle map[messages.LogID]uint64, places []uint64) error {
	var again []messages.Section
	bytes := 0
	choose := func(m *streamread.Message) error {
		// A damaged group has no sections. Their logs hold the purge back.
		g, err := messages.DecodeGroup(m.Data)
		if errors.Is(err, messages.ErrGroupVersion) {
			return fmt.Errorf("group %d: %w", m.Sequence, err)
		}
		for i := range g.Sections {
			s := &g.Sections[i]
			if sequence, is := idle[s.Log]; is && s.Kind.HasEntry() && s.Sequence == sequence {
				again = append(again, messages.Section{Log: s.Log, Kind: messages.SectionAgain, Sequence: s.Sequence, Entry: s.Entry})
				bytes += len(s.Entry)
			}
		}
		return nil
	}
	for len(places) > 0 {
		n := near(places)
		if err := j.eachMessage(ctx, places[0], places[n-1], choose); err != nil {
			return err
		}
		if places = places[n:]; bytes < againBytes && len(places) > 0 {
			continue
		}
		if err := j.appendAll(ctx, again); err != nil {
			return err
		}
		again, bytes = nil, 0
	}
	return nil
}

// appendAll appends sections together. One whose log has moved on, or was deleted, is not needed.
func (j *Journal) appendAll(ctx context.Context, sections []messages.Section) error {
	appends, ctx := errgroup.WithContext(ctx)
	appends.SetLimit(againAtOnce)
	for _, s := range sections {
		appends.Go(func() error {
			_, err := j.Append(ctx, s.Sequence, s)
			if errors.Is(err, core.ErrMoved) || errors.Is(err, core.ErrNoLog) || errors.Is(err, core.ErrSealed) {
				return nil
			}
			return err
		})
	}
	return appends.Wait()
}
