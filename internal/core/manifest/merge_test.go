package manifest

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"laneway.dev/internal/core/segment"
)

// merged returns the segment of the last n segments of m and of some more entries and records.
func merged(m *Manifest, n int, entries uint64, records int64) segment.Summary {
	return segment.Join("s/1/merged", append(slices.Clone(m.Segments[len(m.Segments)-n:]), after(m, entries, records)))
}

func TestSegmentReplacesThoseThatItHas(t *testing.T) {
	h := newHistory()
	for range 5 {
		h.append(t, after(h.Manifest, 3, 10))
	}
	h.Start, h.Waiting = 27, []string{"s/1/dropped"}
	before := Encode(h.Manifest)
	for _, n := range []int{1, 3, 5} {
		s := merged(h.Manifest, n, 2, 7)
		next, err := h.Merge("m/1/next", n, s)
		if err != nil {
			t.Fatal(err)
		}
		want := *h.Manifest
		want.Key, want.Segments = "m/1/next", append(slices.Clone(h.Segments[:5-n]), s)
		want.Waiting = []string{"s/1/dropped"}
		for _, old := range h.Segments[5-n:] {
			want.Waiting = append(want.Waiting, old.Key)
		}
		want.End.Sequence, want.End.Offset = 17, 57
		if diff := cmp.Diff(&want, next); diff != "" {
			t.Errorf("of %d segments: -want +got\n%s", n, diff)
		}
		if _, err := Decode(next.Key, Encode(next)); err != nil {
			t.Error(err)
		}
		if !slices.Equal(Encode(h.Manifest), before) {
			t.Fatal("the manifest before has changed")
		}
	}
}

func TestSegmentThatHasLessReplacesNothing(t *testing.T) {
	h := newHistory()
	for range 3 {
		h.append(t, after(h.Manifest, 3, 10))
	}
	for name, change := range map[string]func(*segment.Summary){
		"begins later":         func(s *segment.Summary) { s.First++ },
		"begins earlier":       func(s *segment.Summary) { s.First-- },
		"at a later offset":    func(s *segment.Summary) { s.Base++ },
		"at an earlier offset": func(s *segment.Summary) { s.Base-- },
		"ends earlier":         func(s *segment.Summary) { s.Last = h.End.Sequence - 1 },
		"ends at an offset":    func(s *segment.Summary) { s.End = h.End.Offset - 1 },
		"incarnation":          func(s *segment.Summary) { s.Incarnation++ },
	} {
		s := merged(h.Manifest, 2, 2, 7)
		change(&s)
		if next, err := h.Merge("m/1/next", 2, s); err == nil {
			t.Errorf("one that %s: %+v", name, next)
		}
	}
}
