package manifest

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"laneway.dev/internal/core/segment"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

var partition = protocol.Partition{Topic: "orders", TopicID: 7, Number: 3, Incarnation: 1}

// after returns a segment of some entries and records that follows m.
func after(m *Manifest, entries uint64, records int64) segment.Summary {
	first := m.End.Sequence + 1
	return segment.Summary{
		Key: fmt.Sprint("s/1/", first), Incarnation: m.Partition.Incarnation, First: first, Last: m.End.Sequence + entries,
		Base: m.End.Offset, End: m.End.Offset + records, Records: records, Size: 1000,
		FirstTime: int64(first), LastTime: int64(m.End.Sequence + entries),
	}
}

// history is a manifest with its lists, and all segments that were appended.
type history struct {
	*Manifest
	lists    map[string]*List
	segments []segment.Summary
	made     int
}

func newHistory() *history {
	m := New(partition)
	return &history{Manifest: &m, lists: map[string]*List{}}
}

func (h *history) append(t rapid.TB, s segment.Summary) {
	t.Helper()
	h.made++
	next, full, err := h.Append(fmt.Sprint("m/1/", h.made), s, fmt.Sprint("m/1/list-", h.made))
	if err != nil {
		t.Fatal(err)
	}
	if full != nil {
		h.lists[full.Key] = full
	}
	h.Manifest, h.segments = next, append(h.segments, s)
}

// all returns the segments that the manifest and its lists name.
func (h *history) all(t rapid.TB) (all []segment.Summary) {
	t.Helper()
	for _, link := range h.Lists {
		l := h.lists[link.Key]
		if want := segment.Join(link.Key, l.Segments); link != want {
			t.Fatalf("a list is described as %+v, is %+v", link, want)
		}
		all = append(all, l.Segments...)
	}
	return append(all, h.Segments...)
}

// locate follows a search through lists.
func (h *history) locate(p Place, ok bool, in func(*List) (segment.Summary, bool)) (segment.Summary, bool) {
	if ok && p.List {
		return in(h.lists[p.Key])
	}
	return p.Summary, ok
}

func TestOldSegmentsMoveToLists(t *testing.T) {
	h := newHistory()
	for range MaxSegments + 3*ListSegments + 1 {
		h.append(t, after(h.Manifest, 2, 3))
		if n := len(h.Segments); n > MaxSegments {
			t.Fatalf("%d segments", n)
		}
	}
	if len(h.Lists) != 4 || len(h.Segments) != MaxSegments-ListSegments+1 {
		t.Errorf("%d lists, %d segments", len(h.Lists), len(h.Segments))
	}
	if diff := cmp.Diff(h.segments, h.all(t)); diff != "" {
		t.Errorf("-appended +listed\n%s", diff)
	}
	want := messages.History{Manifest: h.Key, End: messages.Position{Sequence: 2 * uint64(len(h.segments)), Offset: 3 * int64(len(h.segments))}, Bytes: 1000 * int64(len(h.segments))}
	if got := h.History(); got != want {
		t.Errorf("history is %+v, want %+v", got, want)
	}
}

func TestFirstSegmentIsTheStart(t *testing.T) {
	m := New(partition)
	s := after(&m, 5, 10)
	s.First, s.Last, s.Base, s.End = 1000, 1005, 70, 80
	next, _, err := m.Append("m/1/a", s, "")
	if err != nil {
		t.Fatal(err)
	}
	if want := (messages.History{Manifest: "m/1/a", Start: 70, End: messages.Position{Sequence: 1005, Offset: 80}, Bytes: 1000, Oldest: 5, OldestBytes: 1000}); next.History() != want {
		t.Errorf("history is %+v, want %+v", next.History(), want)
	}
	more, _, err := next.Append("m/1/b", after(next, 1, 1), "")
	if err != nil || more.Start != 70 {
		t.Errorf("start is %d, %v", more.Start, err)
	}
}

func TestAppendRefusesWhatDoesNotContinue(t *testing.T) {
	h := newHistory()
	h.append(t, after(h.Manifest, 5, 10))
	for name, change := range map[string]func(*segment.Summary){
		"hole in the sequences":     func(s *segment.Summary) { s.First++ },
		"sequence that is archived": func(s *segment.Summary) { s.First-- },
		"hole in the offsets":       func(s *segment.Summary) { s.Base++ },
		"offset that is archived":   func(s *segment.Summary) { s.Base-- },
		"incarnation before":        func(s *segment.Summary) { s.Incarnation--; s.First += 100 },
		"old sequences":             func(s *segment.Summary) { s.Incarnation++; s.First -= 2 },
		"offsets of a repair":       func(s *segment.Summary) { s.Incarnation++; s.Base++ },
	} {
		t.Run(name, func(t *testing.T) {
			s := after(h.Manifest, 3, 3)
			change(&s)
			if m, _, err := h.Append("m/1/x", s, ""); err == nil {
				t.Errorf("it became %+v", m)
			}
		})
	}
}

func TestSequencesLeapToALaterIncarnation(t *testing.T) {
	h := newHistory()
	h.append(t, after(h.Manifest, 5, 10))
	s := after(h.Manifest, 3, 3)
	s.Incarnation, s.First, s.Last = 4, 1000, 1002
	h.append(t, s)
	h.append(t, after(h.Manifest, 1, 1))
	if h.Partition.Incarnation != 4 || h.Segments[2].Incarnation != 4 {
		t.Errorf("%+v", h.Manifest)
	}
	if p, ok := h.Locate(500); !ok || p.First != 1000 {
		t.Errorf("an entry in the hole is searched in %+v", p)
	}
	if _, err := Decode(h.Key, Encode(h.Manifest)); err != nil {
		t.Error(err)
	}
}

func TestAppendChangesNothingThatExists(t *testing.T) {
	h := newHistory()
	for range MaxSegments {
		h.append(t, after(h.Manifest, 1, 1))
	}
	before := Encode(h.Manifest)
	for _, records := range []int64{1, 2} { // two attempts of different archivers
		s := after(h.Manifest, 1, records)
		next, full, err := h.Append("m/1/next", s, "m/1/list")
		if err != nil || full == nil {
			t.Fatalf("%v, %v", full, err)
		}
		list, old := EncodeList(full), Encode(next)
		if _, _, err := next.Append("m/1/after", after(next, 9, 9), "m/1/other"); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(Encode(h.Manifest), before) || !slices.Equal(Encode(next), old) || !slices.Equal(EncodeList(full), list) {
			t.Fatal("what exists has changed")
		}
	}
}

func TestSegmentsAreLocated(t *testing.T) {
	h := newHistory()
	rapid.Check(t, func(t *rapid.T) {
		h = newHistory()
		for i := range rapid.IntRange(1, 900).Draw(t, "segments") {
			s := after(h.Manifest, uint64(1+i%3), int64(i%4))
			if i%200 == 199 {
				s.Incarnation++
				s.First, s.Last = s.First+50, s.Last+50
			}
			h.append(t, s)
		}
		sequence := rapid.Uint64Range(0, h.End.Sequence+2).Draw(t, "sequence")
		offset := rapid.Int64Range(0, h.End.Offset+2).Draw(t, "offset")
		bySequence := slices.IndexFunc(h.segments, func(s segment.Summary) bool { return s.Last >= sequence })
		p, ok := h.Locate(sequence)
		s, ok := h.locate(p, ok, func(l *List) (segment.Summary, bool) { return l.Locate(sequence) })
		if ok != (bySequence >= 0) || ok && s != h.segments[bySequence] {
			t.Fatalf("entry %d is searched in %+v, %t", sequence, s, ok)
		}
		byOffset := slices.IndexFunc(h.segments, func(s segment.Summary) bool { return s.End > offset })
		p, ok = h.LocateOffset(offset)
		s, ok = h.locate(p, ok, func(l *List) (segment.Summary, bool) { return l.LocateOffset(offset) })
		if ok != (byOffset >= 0) || ok && s != h.segments[byOffset] {
			t.Fatalf("offset %d is searched in %+v, %t", offset, s, ok)
		}
	})
}

func TestSearchByTimeIsNarrowed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := newHistory()
		time := int64(0)
		for range rapid.IntRange(1, 700).Draw(t, "segments") {
			s := after(h.Manifest, rapid.Uint64Range(1, 5).Draw(t, "entries"), 1)
			s.FirstTime = time + rapid.Int64Range(0, 2).Draw(t, "pause")
			s.LastTime = s.FirstTime
			if s.Last > s.First {
				s.LastTime += rapid.Int64Range(0, 2).Draw(t, "duration")
			}
			time = s.LastTime
			h.append(t, s)
		}
		wanted := rapid.Int64Range(-1, time+1).Draw(t, "time")
		begin := rapid.Uint64Range(1, h.End.Sequence+1).Draw(t, "begin")
		end := rapid.Uint64Range(begin, h.End.Sequence+9).Draw(t, "end")
		low, above := h.NarrowTime(begin, end, wanted)
		if p, ok := h.Locate(low); ok && p.List && low < above {
			low, above = h.lists[p.Key].NarrowTime(low, above, wanted)
		}
		if low < begin || above > end || low > above {
			t.Fatalf("%d to %d was narrowed to %d to %d", begin, end, low, above)
		}
		within := 0
		for _, s := range h.segments {
			for sequence, at := range map[uint64]int64{s.First: s.FirstTime, s.Last: s.LastTime} {
				in, older := sequence >= begin && sequence < end, at < wanted
				if in && (sequence < low && !older || sequence >= above && older) {
					t.Fatalf("entry %d of time %d was searched at time %d, narrowed to %d to %d", sequence, at, wanted, low, above)
				}
			}
			if s.First < above && s.Last >= low {
				within++
			}
		}
		if end <= h.End.Sequence+1 && within > 1 {
			t.Fatalf("%d segments are left", within)
		}
	})
}

func TestNothingIsLocatedWithoutSegments(t *testing.T) {
	m := New(partition)
	if _, ok := m.Locate(1); ok {
		t.Error("an entry is located")
	}
	if _, ok := m.LocateOffset(0); ok {
		t.Error("an offset is located")
	}
	if low, above := m.NarrowTime(3, 9, math.MaxInt64); low != 3 || above != 9 {
		t.Errorf("narrowed to %d to %d", low, above)
	}
}
