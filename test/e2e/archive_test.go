package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/core/manifest"
	"laneway.dev/internal/partitionlog"
	"laneway.dev/pkg/client"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/test/deployment"
)

// keptEntries is how many archived entries an idle log may keep. A purge of fewer is not worth a
// request, nor a snapshot that makes it possible.
const keptEntries = 2 * 256

// logState returns the beginning and end of a log, with its history.
func (f *fixture) logState(ctx context.Context, p protocol.Partition) (partitionlog.State, error) {
	js, err := jetstream.New(f.conn)
	if err != nil {
		return partitionlog.State{}, err
	}
	return partitionlog.New(f.conn, js, p).State(ctx)
}

// awaitLog returns the state of a log once it satisfies a condition.
func (f *fixture) awaitLog(ctx context.Context, t *testing.T, p protocol.Partition, want string, satisfied func(partitionlog.State) bool) (s partitionlog.State) {
	t.Helper()
	err := deployment.Eventually(ctx, func(ctx context.Context) (err error) {
		if s, err = f.logState(ctx, p); err == nil && !satisfied(s) {
			err = fmt.Errorf("the log of %s is %+v, want %s", p, s, want)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// awaitArchived returns when all records are archived, and what is archived is purged.
func (f *fixture) awaitArchived(ctx context.Context, t *testing.T, p protocol.Partition) partitionlog.State {
	t.Helper()
	return f.awaitLog(ctx, t, p, "it archived and purged", func(s partitionlog.State) bool {
		return s.History.End.Offset == s.NextOffset && s.Entries <= keptEntries
	})
}

// manifest returns the newest manifest of a partition, as the store has it.
func (f *fixture) manifest(t *testing.T, h messages.History) *manifest.Manifest {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(f.Objects(), filepath.FromSlash(h.Manifest)))
	if err != nil {
		t.Fatal(err)
	}
	m, err := manifest.Decode(h.Manifest, content)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// series are the records that one producer publishes to a partition: record n has offset n.
type series struct {
	protocol.Partition
	records int64
	times   []time.Time // as they were read
}

// record returns a record of the series, which a codec makes much smaller.
func (s *series) record(n int64) client.ProducerRecord {
	line := fmt.Sprintf("%s record %d, step %d; ", s.Partition, n, n*n%977)
	return client.ProducerRecord{Headers: []protocol.Header{{Name: "Number", Value: fmt.Sprint(n)}}, Value: []byte(strings.Repeat(line, 2700/len(line)))}
}

func (s *series) publish(ctx context.Context, c *client.Client) error {
	return s.publishFrom(ctx, c, 0)
}

// publishFrom publishes the records of the series from a number on.
func (s *series) publishFrom(ctx context.Context, c *client.Client, from int64) error {
	p, err := c.Producer(ctx, s.Topic, client.ProducerOptions{Partition: &s.Number, BatchRecords: 1})
	if err != nil {
		return err
	}
	for n := from; n < s.records; n++ {
		if _, err := p.Publish(ctx, s.record(n)); err != nil {
			return errors.Join(err, p.Close(ctx))
		}
	}
	return p.Close(ctx)
}

// check compares a record that was read with the one that was published.
func (s *series) check(r *client.Record) error {
	want := s.record(r.Offset)
	if r.Topic != s.Topic || r.Partition != s.Number || !slices.Equal(r.Headers, want.Headers) || string(r.Value) != string(want.Value) {
		return fmt.Errorf("%s, offset %d: got %v %.80q, want %v %.80q", s.Partition, r.Offset, r.Headers, r.Value, want.Headers, want.Value)
	}
	return nil
}

// read reads the series from its beginning, and remembers the times.
func (s *series) read(ctx context.Context, c *client.Client, from, to time.Time) error {
	s.times = nil
	for r, err := range c.Consumer(client.ConsumerOptions{Topic: s.Topic, Partition: &s.Number}).Records(ctx) {
		if err == nil {
			err = s.check(&r)
		}
		switch next := int64(len(s.times)); {
		case err != nil:
			return err
		case r.Offset != next:
			return fmt.Errorf("%s: offset %d follows %d", s.Partition, r.Offset, next-1)
		case r.Time.Before(from) || r.Time.After(to):
			return fmt.Errorf("%s, offset %d: its time is %s, it was sent between %s and %s", s.Partition, next, r.Time, from, to)
		case next > 0 && r.Time.Before(s.times[next-1]):
			return fmt.Errorf("%s, offset %d: its time %s is below the one before", s.Partition, next, r.Time)
		}
		s.times = append(s.times, r.Time)
	}
	if n := int64(len(s.times)); n != s.records {
		return fmt.Errorf("%s: %d records of %d", s.Partition, n, s.records)
	}
	return nil
}

// readFrom reads a few records from some place on, of which the first one has an offset.
func (s *series) readFrom(ctx context.Context, c *client.Client, first int64, options client.ConsumerOptions) error {
	options.Topic, options.Partition, options.MaxRecords = s.Topic, &s.Number, 3
	next := first
	for r, err := range c.Consumer(options).Records(ctx) {
		if err == nil {
			err = s.check(&r)
		}
		switch {
		case err != nil:
			return err
		case r.Offset != next || !r.Time.Equal(s.times[next]):
			return fmt.Errorf("%s from offset %d: got offset %d with time %s", s.Partition, first, r.Offset, r.Time)
		}
		next++
	}
	if want := min(first+options.MaxRecords, s.records); next != want {
		return fmt.Errorf("%s from offset %d: the last one is %d, want %d", s.Partition, first, next-1, want-1)
	}
	return nil
}

// readAround reads by offset and by time around some offsets.
func (s *series) readAround(ctx context.Context, c *client.Client, offsets ...int64) error {
	var errs []error
	for _, around := range offsets {
		for offset := max(around-1, 0); offset <= min(around+1, s.records); offset++ {
			errs = append(errs, s.readFrom(ctx, c, offset, client.ConsumerOptions{Offset: &offset}))
			if offset == s.records {
				continue
			}
			for _, at := range []time.Time{s.times[offset], s.times[offset].Add(1)} {
				first, _ := slices.BinarySearchFunc(s.times, at, time.Time.Compare)
				if err := s.readFrom(ctx, c, int64(first), client.ConsumerOptions{Time: &at}); err != nil {
					errs = append(errs, fmt.Errorf("from %s on: %w", at, err))
				}
			}
		}
	}
	return errors.Join(errs...)
}

// follow reads the series from its beginning until all of it has come.
func (s *series) follow(ctx context.Context, c *client.Client) error {
	next := int64(0)
	for r, err := range c.Consumer(client.ConsumerOptions{Topic: s.Topic, Partition: &s.Number, Follow: true, MaxRecords: s.records}).Records(ctx) {
		if err == nil {
			err = s.check(&r)
		}
		if err == nil && r.Offset != next {
			err = fmt.Errorf("%s: offset %d came, %d was expected", s.Partition, r.Offset, next)
		}
		if err != nil {
			return err
		}
		next++
	}
	return nil
}

// allSeries returns a series of records for each partition of two topics, one of which is compressed.
func allSeries(ctx context.Context, t *testing.T, c *client.Client, records int64) (all []*series) {
	t.Helper()
	for _, codec := range []protocol.Compression{protocol.CompressionNone, protocol.CompressionZstd} {
		topic, err := c.Admin().CreateTopic(ctx, protocol.TopicConfig{Name: "history-" + string(codec), Partitions: 2, Compression: codec})
		if err != nil {
			t.Fatal(err)
		}
		for number := range topic.Partitions {
			all = append(all, &series{Partition: topic.Partition(number), records: records})
		}
	}
	return all
}

// each runs a part of a test for all series at the same time.
func each(t *testing.T, all []*series, run func(s *series) error) {
	t.Helper()
	var running sync.WaitGroup
	for _, s := range all {
		running.Go(func() {
			if err := run(s); err != nil {
				t.Errorf("%s: %v", s.Partition, err)
			}
		})
	}
	running.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// TestHistoryIsArchivedAndPurged produces fifty times what is archived at a time. The logs stay
// short, and consumers read what is in segments as they have read it before.
func TestHistoryIsArchivedAndPurged(t *testing.T) {
	t.Parallel() // it measures no time and no memory
	ctx := within(t, 3*time.Minute)
	f := start(t, deployment.OneProcess, deployment.Options{
		Frontend:   []string{"--cache-bytes", "1"}, // consumers read what is stored
		Replicator: []string{"--archive-bytes", "1MiB", "--archive-age", "1s"},
	})
	c := f.client(t, f.URL())
	all := allSeries(ctx, t, c, 4800)

	var followers sync.WaitGroup
	for _, s := range all {
		followers.Go(func() {
			if err := s.follow(ctx, f.client(t, f.URL())); err != nil {
				t.Errorf("the follower of %s: %v", s.Partition, err)
			}
		})
	}
	started := time.Now()
	each(t, all, func(s *series) error { return s.publish(ctx, c) })
	published := time.Now()
	took(t, started, "publishing")
	var boundaries [][]int64
	entries := 0.0
	for _, s := range all {
		state := f.awaitArchived(ctx, t, s.Partition)
		if state.LastSequence < keptEntries+256 {
			t.Errorf("the log of %s had %d entries: too few to see whether it is purged", s.Partition, state.LastSequence)
		}
		f.awaitShort(ctx, t, s.Partition)
		state, err := f.logState(ctx, s.Partition)
		if err != nil {
			t.Fatal(err)
		}
		entries += float64(state.Entries)
		// While publishing takes long, all segments of a partition may be merged into one.
		m := f.manifest(t, state.History)
		offsets := []int64{0, s.records}
		for i := 1; i < len(m.Segments); i += 1 + len(m.Segments)/4 {
			offsets = append(offsets, m.Segments[i].Base)
		}
		boundaries = append(boundaries, offsets)
	}
	took(t, published, "archiving the rest")
	if f.MustMetric(deployment.Archiver, "laneway_archiver_merged_total") == 0 {
		t.Error("no segments were merged")
	}
	followers.Wait()

	f.forget(ctx)
	if replayed := f.MustMetric(deployment.Replicator, "laneway_replicator_replayed_total"); replayed > entries {
		t.Errorf("%v entries were read during the restart, the logs had %v", replayed, entries)
	}
	began := time.Now()
	each(t, all, func(s *series) error { return s.read(ctx, c, started, published) })
	took(t, began, "reading everything")
	for i, s := range all {
		if err := s.readAround(ctx, c, boundaries[i]...); err != nil {
			t.Error(err)
		}
	}
	f.verifyStore(ctx, t, 0, []string{"nothing is damaged"}, "--nats", f.URL())
}
