package archiver

import (
	"context"
	"errors"
	"slices"
	"testing"

	"laneway.dev/internal/core/manifest"
	"laneway.dev/internal/core/segment"
	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/messages"
)

// retain sends a job that archives nothing, and returns the history that results.
func (w *world) retain(base messages.History, r messages.Retention) messages.History {
	w.Helper()
	w.send(messages.Archive{Partition: partition, Base: base, To: base.End, Retain: r})
	m := answer[messages.Archived](w)
	if m.Base != base.Manifest || m.History.End != base.End || m.Records+m.Damaged+m.Missing != 0 {
		w.Errorf("the result is %+v", m)
	}
	return m.History
}

func (w *world) stored(key string) bool {
	w.Helper()
	_, err := w.store.ReadRange(w.Context(), key, 0, 1)
	if err != nil && !errors.Is(err, objectstore.ErrNotFound) {
		w.Fatal(err)
	}
	return err == nil
}

// segmentsEach archives n segments with 2 records each.
func (w *world) segmentsEach(n int) (h messages.History) {
	w.Helper()
	for range n {
		w.append(0, frameOf("record"))
		h = w.archives(w.job(h)).History
	}
	return h
}

func TestHistorySaysWhatRetentionGoesBy(t *testing.T) {
	w := newWorld(t)
	w.start(nil)
	h := w.segmentsEach(2)
	m := w.manifest(h)
	if len(m.Segments) != 2 {
		t.Fatalf("%d segments", len(m.Segments))
	}
	first := m.Segments[0]
	if h.Bytes != first.Size+m.Segments[1].Size || h.OldestBytes != first.Size || h.Oldest != first.LastTime || h.Size != int64(len(manifest.Encode(m))) {
		t.Errorf("history %+v of segments %+v", h, m.Segments)
	}
}

func TestDroppedSegmentsAreDeletedByTheNextJob(t *testing.T) {
	w := newWorld(t)
	w.start(nil)
	first := w.segmentsEach(3)
	before := w.manifest(first)
	second := w.retain(first, messages.Retention{Cutoff: before.Segments[2].LastTime})
	m := w.manifest(second)
	want := []string{first.Manifest, before.Segments[0].Key, before.Segments[1].Key}
	if second.Start != before.Segments[2].Base || !slices.Equal(m.Segments, before.Segments[2:]) || !slices.Equal(m.Waiting, want) {
		t.Errorf("start %d, segments %+v, waiting %v", second.Start, m.Segments, m.Waiting)
	}
	for _, key := range want { // the log may never name the second manifest
		if !w.stored(key) {
			t.Errorf("%s is deleted too early", key)
		}
	}
	w.append(0, frameOf("more"))
	job := w.job(second)
	w.send(job)
	third := answer[messages.Archived](w).History
	for _, key := range want {
		if w.stored(key) {
			t.Errorf("%s is still there", key)
		}
	}
	if got := w.manifest(third); !slices.Equal(got.Waiting, []string{second.Manifest}) || len(got.Segments) != 2 || third.Start != second.Start {
		t.Errorf("start %d, segments %+v, waiting %v", third.Start, got.Segments, got.Waiting)
	}
}

// The job that truncates archives what it covers of the tail.
func TestOneJobArchivesAndDrops(t *testing.T) {
	w := newWorld(t)
	w.start(nil)
	h := w.segmentsEach(1)
	w.append(0, frameOf("record"), frameOf("record"))
	job := w.job(h)
	job.Retain.Before = w.offset - 1
	w.send(job)
	m := answer[messages.Archived](w)
	if got := w.manifest(m.History); m.History.Start != w.offset-1 || len(got.Segments) != 1 || m.Records != 4 {
		t.Errorf("result %+v, segments %+v", m, got.Segments)
	}
	w.append(0, frameOf("record"))
	job = w.job(m.History)
	job.Retain.Before = w.offset
	w.send(job)
	all := answer[messages.Archived](w).History
	if got := w.manifest(all); all.Start != w.offset || len(got.Segments) != 0 || all.Bytes != 0 || all.Oldest != 0 {
		t.Errorf("history %+v, segments %+v", all, got.Segments)
	}
	w.append(0, frameOf("record"))
	next := w.job(all)
	w.send(next)
	if got := answer[messages.Archived](w).History; got.Start != next.Base.End.Offset || got.End != next.To {
		t.Errorf("after all was dropped: %+v", got)
	}
}

func TestKeysWaitAsLongAsTheStoreDoesNotDeleteThem(t *testing.T) {
	w := newWorld(t)
	w.start(nil)
	first := w.segmentsEach(2)
	second := w.retain(first, messages.Retention{Before: first.End.Offset})
	waiting := w.manifest(second).Waiting
	w.store.faults(func(s *faulty) { s.remove = func(context.Context, string) error { return errors.New("denied") } })
	third := w.retain(second, messages.Retention{})
	want := slices.Concat(waiting, []string{second.Manifest})
	if got := w.manifest(third).Waiting; !sameKeys(got, want) {
		t.Errorf("waiting are %v, want %v", got, want)
	}
	w.store.faults(func(s *faulty) { s.remove = nil })
	fourth := w.retain(third, messages.Retention{})
	if got := w.manifest(fourth).Waiting; !slices.Equal(got, []string{third.Manifest}) || w.stored(waiting[0]) {
		t.Errorf("waiting are %v", got)
	}
}

func sameKeys(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// A list stays as it is, so what is left of it goes into another one.
func TestPartOfAListIsDropped(t *testing.T) {
	w := newWorld(t)
	w.start(nil)
	h := w.segmentsEach(1)
	m := w.manifest(h)
	for range manifest.MaxSegments {
		s := segment.Summary{First: m.End.Sequence + 1, Last: m.End.Sequence + 1, Base: m.End.Offset, End: m.End.Offset, Size: 1 << 10, FirstTime: h.Oldest + 1, LastTime: h.Oldest + 1}
		s.Key = objectKey(w, objectstore.NewSegmentKey)
		next, full, err := m.Append("", s, "")
		w.must(err)
		if m = next; full != nil {
			key, err := w.reader().putList(t.Context(), full)
			w.must(err)
			m.Lists[0].Key = key
		}
	}
	h, err := w.reader().putManifest(t.Context(), messages.Archive{Partition: partition}, m, m)
	w.must(err)
	if len(m.Lists) != 1 || h.OldestBytes != m.Bytes()-1<<10*manifest.MaxSegments {
		t.Fatalf("%d lists, history %+v", len(m.Lists), h)
	}

	next := w.retain(h, messages.Retention{Cutoff: h.Oldest + 1})
	got := w.manifest(next)
	if len(got.Lists) != 1 || got.Lists[0].Key == m.Lists[0].Key || next.OldestBytes != 1<<10 || next.Bytes != 1<<10*manifest.MaxSegments {
		t.Fatalf("lists %+v, history %+v", got.Lists, next)
	}
	l, err := w.reader().parts().List(t.Context(), got.Lists[0].Key)
	w.must(err)
	if len(l.Segments) != manifest.ListSegments-1 || !slices.Contains(got.Waiting, m.Lists[0].Key) {
		t.Errorf("%d segments in the list, waiting are %v", len(l.Segments), got.Waiting)
	}
	if again := w.retain(next, messages.Retention{}); again.Oldest != next.Oldest || again.OldestBytes != next.OldestBytes || w.manifest(again).Lists[0] != got.Lists[0] {
		t.Errorf("a job that drops nothing makes %+v of %+v", again, next)
	}
}
