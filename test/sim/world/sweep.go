package world

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"laneway.dev/internal/core/generation"
	"laneway.dev/internal/core/manifest"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/archiver/core/sweep"
)

// Sweeps is what sweeps have left: records in the object store, and which one NATS names.
type Sweeps struct {
	Records  []sweep.Record
	known    uint64
	named    string
	revision int // of what NATS names
	keys     int // of records that were given out
}

// Sweeper is the sweeper of an archiver, with the part of its shell that has a state.
type Sweeper struct {
	By    *Process
	Began time.Time // when its last sweep began

	core     *sweep.Core
	revision int // of what NATS named when the sweep began
	ranges   []sweep.Range
	listed   string // the last key of the page
}

// NewSweeper returns the sweeper of an archiver.
func NewSweeper(p *Process, settings sweep.Settings) *Sweeper {
	return &Sweeper{By: p, core: sweep.NewCore(settings)}
}

// SweepStep lets the core of a sweeper take an event. It returns the next effect.
func (w *World) SweepStep(s *Sweeper, e sweep.Event) sweep.Effect {
	if _, begins := e.(sweep.Start); begins {
		s.Began = w.Now
	}
	return s.core.Step(w.Clock(s.By), e)
}

// SweepRecords answers ReadRecords.
func (w *World) SweepRecords(s *Sweeper) sweep.RecordsFound {
	s.revision = w.Sweeps.revision
	return sweep.RecordsFound{Records: slices.Clone(w.Sweeps.Records), Known: w.Sweeps.known, Named: w.Sweeps.named}
}

var errOvertaken = errors.New("another sweep has named its record")

// PutRecord stores the record of a sweep.
func (w *World) PutRecord(r sweep.Record) sweep.Record {
	w.Sweeps.keys++
	r.Key = fmt.Sprintf("r/%016x/%d", r.Generation, w.Sweeps.keys)
	w.Sweeps.Records = append(w.Sweeps.Records, r)
	return r
}

// NameRecord names a record in NATS by compare-and-set.
func (w *World) NameRecord(s *Sweeper, r sweep.Record) error {
	if w.Sweeps.revision != s.revision {
		w.RemoveRecords(r.Key)
		return errOvertaken
	}
	w.Sweeps.known, w.Sweeps.named = r.Number, r.Key
	w.Sweeps.revision++
	s.revision = w.Sweeps.revision
	return nil
}

// RemoveRecords deletes the records with the keys.
func (w *World) RemoveRecords(keys ...string) {
	w.Sweeps.Records = slices.DeleteFunc(w.Sweeps.Records, func(r sweep.Record) bool { return slices.Contains(keys, r.Key) })
}

// SweepLogs answers ReadLogs. Logs of topics that were deleted may still be there.
func (w *World) SweepLogs(which []protocol.Partition) (read sweep.LogsRead) {
	for _, of := range w.Partitions {
		l := &of.Log
		if which != nil && !slices.Contains(which, of.ID) {
			continue
		}
		if !l.begun {
			if which != nil {
				read.Failed = append(read.Failed, sweep.Failure{What: of.ID.String(), Reason: "there is no such log"})
			}
			continue
		}
		read.Logs = append(read.Logs, sweep.Log{Partition: of.ID, Sequence: l.Last(), Watermark: l.Watermark(), Manifest: l.History().Manifest})
	}
	return read
}

// SweepList answers ListLogs.
func (w *World) SweepList() (listed sweep.LogsListed) {
	for _, of := range w.Partitions {
		switch {
		case of.Exists:
			listed.Logs = append(listed.Logs, of.ID)
		case of.Deleted:
			listed.Deleted = append(listed.Deleted, sweep.Tombstone{Topic: of.ID.TopicID})
		}
	}
	return listed
}

// SweepManifests answers ReadManifests.
func (w *World) SweepManifests(keys []string) (e sweep.ManifestsRead) {
	for _, key := range keys {
		c, err := w.contents(key)
		if err != nil {
			e.Failed = append(e.Failed, sweep.Failure{What: key, Reason: err.Error(), Missing: true})
			continue
		}
		e.Manifests = append(e.Manifests, c)
	}
	return e
}

// contents returns what a manifest and its lists name.
func (w *World) contents(key string) (c sweep.Contents, err error) {
	m, err := manifest.Decode(key, w.Archive.Get(key))
	if err != nil {
		return c, err
	}
	c = sweep.Contents{Key: key, Waiting: m.Waiting}
	segments := m.Segments
	for _, l := range m.Lists {
		list, err := manifest.DecodeList(l.Key, w.Archive.Get(l.Key))
		if err != nil {
			return c, err
		}
		c.Names = append(c.Names, l.Key)
		segments = append(slices.Clip(segments), list.Segments...)
	}
	for i := range segments {
		c.Names = append(c.Names, segments[i].Key)
	}
	return c, nil
}

// kinds are those of objects, by the first letter of their keys.
var kinds = map[string]sweep.Kind{"o": sweep.Batches, "s": sweep.Segment, "m": sweep.Manifest}

func objectOf(key string) sweep.Object {
	kind, _, _ := strings.Cut(key, "/")
	return sweep.Object{Key: key, Kind: kinds[kind], Generation: generation.OfKey(key)}
}

// BeginListing begins to list the store.
func (s *Sweeper) BeginListing(ranges []sweep.Range) { s.ranges, s.listed = ranges, "" }

// SweepPage answers List and Next with the next objects as they are now, at most limit.
func (w *World) SweepPage(s *Sweeper, limit int) (page sweep.Page) {
	page.Last = true
	for _, key := range slices.Sorted(w.Archive.all) {
		o := objectOf(key)
		if key <= s.listed || !slices.ContainsFunc(s.ranges, func(x sweep.Range) bool {
			return x.Kind == o.Kind && (x.Generation == 0 || x.Generation == o.Generation)
		}) {
			continue
		}
		if len(page.Objects) == limit {
			page.Last = false
			break
		}
		page.Objects = append(page.Objects, o)
	}
	if n := len(page.Objects); n > 0 {
		s.listed = page.Objects[n-1].Key
	}
	return page
}

// Leftover returns an object that no log leads to and that is below the highest watermark for
// the present generation; empty if there is none.
func (w *World) Leftover(reachable func(key string) bool) (left string) {
	for key := range w.Archive.all {
		if generation.OfKey(key) < generation.Watermark(w.Generation) && (left == "" || key < left) && !reachable(key) {
			left = key
		}
	}
	return left
}

// Pause returns how long a sweep waits before an effect.
func Pause(fx sweep.Effect) time.Duration {
	if again, is := fx.(sweep.ReadLogs); is {
		return again.Pause
	}
	return 0
}
