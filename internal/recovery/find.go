// Package recovery reads the archived records of an object store without the logs: when NATS has
// lost its data, the segments are all that is left.
//
// A segment says which part of which log it has, so no manifest is needed to read it. The manifests
// only say where the records of a partition begin, because retention and truncation leave older ones
// in segments, and how far they should reach. The package changes nothing.
package recovery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"laneway.dev/internal/archive"
	"laneway.dev/internal/core/layout"
	"laneway.dev/internal/core/manifest"
	"laneway.dev/internal/core/segment"
	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/protocol"
)

// requestsAtOnce is how many objects Find reads at the same time.
const requestsAtOnce = 16

// Filter selects partitions. The zero value selects all.
type Filter struct {
	Topic     string // name of the topic; empty for all
	TopicID   uint64 // 0 for all
	Partition *int32 // nil for all
}

func (f *Filter) selects(p *protocol.Partition) bool {
	return (f.Topic == "" || f.Topic == p.Topic) && (f.TopicID == 0 || f.TopicID == p.TopicID) && (f.Partition == nil || *f.Partition == p.Number)
}

// Topic is a topic with archived records. After it was deleted and created again, a name has several
// ids.
type Topic struct {
	Name string
	ID   uint64
}

// Found is what a store has.
type Found struct {
	Topics     []Topic      // all of the store, by name and id
	Partitions []*Partition // those that were selected, by topic and number
	// Unreadable are the errors of manifests and segments, and of parts of the store that cannot be
	// listed. To which partitions they belong is not known.
	Unreadable []error
}

// Partition is a partition with archived records.
type Partition struct {
	ID         protocol.Partition
	Start, End int64 // offsets: records from Start up to, but not including, End

	newest   *manifest.Manifest
	segments []segment.Summary
}

// Find reads all manifests, and the ends of all segments. It keeps some 250 bytes for each segment of
// the partitions that are selected. progress is called with the number of objects that were read, by
// one goroutine at a time. The error means that the store cannot be read.
func Find(ctx context.Context, store objectstore.Store, want Filter, progress func(objects int)) (*Found, error) {
	f := &finder{store: store, want: want, progress: progress, topics: make(map[Topic]bool), partitions: make(map[partitionKey]*Partition)}
	if err := f.each(ctx, objectstore.KindManifest, f.readManifest); err != nil {
		return nil, err
	}
	if err := f.each(ctx, objectstore.KindSegment, f.readSegment); err != nil {
		return nil, err
	}
	return f.finish(), nil
}

// partitionKey identifies a partition in all incarnations of its log.
type partitionKey struct {
	topicID uint64
	number  int32
}

type finder struct {
	store    objectstore.Store
	want     Filter
	progress func(int)

	mu         sync.Mutex
	objects    int
	topics     map[Topic]bool
	partitions map[partitionKey]*Partition
	unreadable []error
}

// each calls read for all objects of a kind. Damage is noted. Any other error ends it.
func (f *finder) each(ctx context.Context, kind objectstore.Kind, read func(context.Context, objectstore.Listed) error) error {
	group, reading := errgroup.WithContext(ctx)
	group.SetLimit(requestsAtOnce)
	for o, err := range f.store.List(reading, string(kind)) {
		if reading.Err() != nil {
			break
		}
		if err != nil {
			f.note(err)
			continue
		}
		group.Go(func() error {
			err := read(reading, o)
			if reading.Err() != nil {
				return context.Cause(reading)
			}
			return f.done(err)
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return context.Cause(ctx)
}

func (f *finder) note(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.unreadable = append(f.unreadable, err)
}

// done counts an object that was read. It returns an error that is not about this object alone.
func (f *finder) done(err error) error {
	switch {
	case errors.Is(err, objectstore.ErrNotFound): // deleted since the listing
	case isDamage(err):
		f.note(err)
	case err != nil:
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.objects++
	f.progress(f.objects)
	return nil
}

// isDamage reports whether an error concerns one object, which no further attempt can read.
func isDamage(err error) bool { return objectstore.IsDamage(err) || errors.Is(err, layout.ErrVersion) }

func (f *finder) readManifest(ctx context.Context, o objectstore.Listed) error {
	m, err := archive.ManifestOrList(ctx, f.store, o)
	if err != nil || m == nil {
		return err
	}
	f.add(m.Partition, func(p *Partition) {
		known := []*manifest.Manifest{m}
		if p.newest != nil {
			known = append(known, p.newest)
		}
		newest := archive.Newest(known)
		p.newest = &manifest.Manifest{Key: newest.Key, Start: newest.Start, End: newest.End} // the rest takes memory
	})
	return nil
}

func (f *finder) readSegment(ctx context.Context, o objectstore.Listed) error {
	footer, err := archive.Footer(ctx, f.store, o)
	if err != nil {
		return err
	}
	f.add(footer.Partition, func(p *Partition) { p.segments = append(p.segments, footer.Summary) })
	return nil
}

// add calls change with the partition of an object if that is selected.
func (f *finder) add(id protocol.Partition, change func(*Partition)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.topics[Topic{id.Topic, id.TopicID}] = true
	if !f.want.selects(&id) {
		return
	}
	key := partitionKey{id.TopicID, id.Number}
	p := f.partitions[key]
	if p == nil {
		p = &Partition{ID: id}
		f.partitions[key] = p
	}
	change(p)
}

func (f *finder) finish() *Found {
	found := &Found{Unreadable: f.unreadable}
	for topic := range f.topics {
		found.Topics = append(found.Topics, topic)
	}
	slices.SortFunc(found.Topics, func(a, b Topic) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	for _, p := range f.partitions {
		p.bound()
		found.Partitions = append(found.Partitions, p)
	}
	slices.SortFunc(found.Partitions, func(a, b *Partition) int {
		return cmp.Or(cmp.Compare(a.ID.Topic, b.ID.Topic), cmp.Compare(a.ID.TopicID, b.ID.TopicID), cmp.Compare(a.ID.Number, b.ID.Number))
	})
	return found
}

// bound determines Start and End.
func (p *Partition) bound() {
	p.Start = math.MaxInt64
	for i := range p.segments {
		p.Start, p.End = min(p.Start, p.segments[i].Base), max(p.End, p.segments[i].End)
	}
	if p.newest != nil {
		p.Start, p.End = p.newest.Start, max(p.End, p.newest.End.Offset)
	}
}

// String describes the topic.
func (t Topic) String() string { return fmt.Sprintf("%s (id %d)", t.Name, t.ID) }
