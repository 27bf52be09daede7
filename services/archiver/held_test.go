package archiver

import (
	"slices"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/pkg/messages"
)

func TestNothingIsDeletedOrMergedWhileAnAlarmStands(t *testing.T) {
	w := newWorld(t)
	s := w.start(nil)
	first := w.segmentsEach(3)
	kv, err := w.js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "LANEWAY_SWEEPS"})
	w.must(err)
	_, err = kv.Put(t.Context(), "alarm", []byte("log older"))
	w.must(err)
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
	w.must(kv.Delete(t.Context(), "alarm"))
	last := w.archiveSome(h, "")
	if s.Stats().Merged == 0 || w.stored(waiting[0]) || slices.Contains(w.manifest(last).Waiting, waiting[0]) {
		t.Errorf("after the alarm, %d segments are merged, and waiting are %v", s.Stats().Merged, w.manifest(last).Waiting)
	}
}
