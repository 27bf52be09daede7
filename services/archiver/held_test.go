package archiver

import (
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/core/sweeprecord"
	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/messages"
)

func TestNothingIsDeletedOrMergedWhileAnAlarmStands(t *testing.T) {
	w := newWorld(t)
	s := w.start(nil)
	first := w.segmentsEach(3)
	kv := w.sweeps()
	_, err := kv.Put(t.Context(), "alarm", []byte("log older"))
	w.must(err)
	w.wantHeld(s, first, func() error { return kv.Delete(t.Context(), "alarm") })
}

// A restored copy is noticed by the next sweep, which is due minutes after an archiver has started.
func TestNothingIsDeletedOrMergedBeforeASweepHasComparedRestoredLogs(t *testing.T) {
	w := newWorld(t)
	first := w.segmentsBefore(3)
	s := w.start(nil)
	kv := w.sweeps()
	key, err := objectstore.NewRecordKey(1, time.Now(), nil)
	w.must(err)
	record, err := sweeprecord.Encode(sweeprecord.Record{Number: 7})
	w.must(err)
	w.must(w.store.Put(t.Context(), key, [][]byte{record}))
	_, err = kv.Put(t.Context(), "newest", []byte("6 r/0000000000000001/before"))
	w.must(err)
	w.wantHeld(s, first, func() error {
		_, err := kv.Put(t.Context(), "newest", []byte("7 "+key))
		return err
	})
}

func (w *world) sweeps() jetstream.KeyValue {
	w.Helper()
	kv, err := w.js.CreateKeyValue(w.Context(), jetstream.KeyValueConfig{Bucket: "LANEWAY_SWEEPS"})
	w.must(err)
	return kv
}

// segmentsBefore returns the history of some segments that another archiver has made.
func (w *world) segmentsBefore(n int) messages.History {
	w.Helper()
	s := w.start(nil)
	h := w.segmentsEach(n)
	w.stop(s)
	return h
}

// wantHeld checks that an archiver neither deletes nor merges anything until it is released.
func (w *world) wantHeld(s *Service, first messages.History, release func() error) {
	t := w.T
	t.Helper()
	second := w.retain(first, messages.Retention{Before: w.manifest(first).Segments[0].End})
	waiting := w.manifest(second).Waiting
	h := second
	for range 8 {
		h = w.archiveSome(h, "")
	}
	m := w.manifest(h)
	if merged := s.Stats().Merged; merged > 0 || len(m.Segments) != 10 {
		t.Errorf("%d segments are merged, and %d are left", merged, len(m.Segments))
	}
	if len(waiting) != 3 || !slices.Equal(m.Waiting[:3], waiting) || len(m.Waiting) != 11 {
		t.Errorf("waiting were %v, and are %v", waiting, m.Waiting)
	}
	for _, key := range m.Waiting {
		if !w.stored(key) {
			t.Errorf("%s is deleted", key)
		}
	}
	w.must(release())
	last := w.archiveSome(h, "")
	if s.Stats().Merged == 0 || w.stored(waiting[0]) || slices.Contains(w.manifest(last).Waiting, waiting[0]) {
		t.Errorf("after it was released, %d segments are merged, and waiting are %v", s.Stats().Merged, w.manifest(last).Waiting)
	}
}
