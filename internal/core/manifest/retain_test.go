package manifest

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"laneway.dev/internal/core/segment"
	"laneway.dev/pkg/messages"
)

// retain applies a retention, stores what results, and returns the keys that were dropped.
func (h *history) retain(t rapid.TB, r messages.Retention) (dropped []string) {
	t.Helper()
	before := Encode(h.Manifest)
	next, rest, err := h.Retain(r, func(key string) (*List, error) { return h.lists[key], nil })
	if err != nil {
		t.Fatal(err)
	}
	if rest != nil {
		h.made++
		rest.Key = fmt.Sprint("m/1/rest-", h.made)
		h.lists[rest.Key] = rest
		next.SetRest(rest.Key)
	}
	if !slices.Equal(Encode(h.Manifest), before) {
		t.Fatal("the manifest before has changed")
	}
	dropped = next.Waiting[len(h.Waiting):]
	h.Manifest = next
	if _, err := Decode(next.Key, Encode(next)); err != nil {
		t.Fatal(err)
	}
	return dropped
}

func keysOf(segments []segment.Summary) []string { return appendKeys(nil, segments) }

func TestRetentionDropsTheOldestSegments(t *testing.T) {
	for name, c := range map[string]struct {
		r       messages.Retention
		dropped int
		start   int64
	}{
		"nothing":                {messages.Retention{}, 0, 0},
		"age":                    {messages.Retention{Cutoff: 7}, 2, 20},
		"age of a last record":   {messages.Retention{Cutoff: 6}, 1, 10},
		"all by age":             {messages.Retention{Cutoff: 100}, 5, 50},
		"bytes":                  {messages.Retention{Bytes: 3000}, 2, 20},
		"bytes within a segment": {messages.Retention{Bytes: 2999}, 2, 20},
		"one byte":               {messages.Retention{Bytes: 1}, 4, 40},
		"offset":                 {messages.Retention{Before: 30}, 3, 30},
		"offset in a segment":    {messages.Retention{Before: 37}, 3, 37},
		"offset in the first":    {messages.Retention{Before: 3}, 0, 3},
		"all by offset":          {messages.Retention{Before: 50}, 5, 50},
		"offset above the end":   {messages.Retention{Before: 51}, 5, 50},
		"several":                {messages.Retention{Cutoff: 4, Bytes: 2000, Before: 11}, 3, 30},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHistory()
			for range 5 { // the times of their last records are 3, 6, …
				h.append(t, after(h.Manifest, 3, 10))
			}
			all := h.segments
			if diff := cmp.Diff(keysOf(all[:c.dropped]), h.retain(t, c.r)); diff != "" {
				t.Errorf("-want +dropped\n%s", diff)
			}
			if left := h.all(t); !slices.Equal(left, all[c.dropped:]) || h.Start != c.start || h.End.Offset != 50 {
				t.Errorf("left are %d segments from offset %d to %d", len(left), h.Start, h.End.Offset)
			}
			h.append(t, after(h.Manifest, 3, 10))
			if h.Start != c.start {
				t.Errorf("a segment more moves the start to %d", h.Start)
			}
		})
	}
}

// An owner's clock was set back by an hour while a segment was filled.
func TestFallingTimesKeepASegment(t *testing.T) {
	h := newHistory()
	s := after(h.Manifest, 3, 10)
	s.FirstTime, s.LastTime = 10, 5
	h.append(t, s)
	if dropped := h.retain(t, messages.Retention{Cutoff: 7}); len(dropped) > 0 {
		t.Error("a record from after the cutoff is dropped")
	}
}

func TestRetentionReadsListsOnlyIfItMayDropOfThem(t *testing.T) {
	h := newHistory()
	for range MaxSegments + 1 {
		h.append(t, after(h.Manifest, 1, 1))
	}
	failed := errors.New("the store is away")
	for _, r := range []messages.Retention{{}, {Cutoff: 1}, {Bytes: h.Bytes()}} {
		if next, _, err := h.Retain(r, func(string) (*List, error) { return nil, failed }); err != nil || len(next.Waiting) > 0 {
			t.Errorf("%+v: %v", r, err)
		}
	}
	for _, r := range []messages.Retention{{Cutoff: 2}, {Bytes: h.Bytes() - 1}, {Before: 1}} {
		if _, _, err := h.Retain(r, func(string) (*List, error) { return nil, failed }); !errors.Is(err, failed) {
			t.Errorf("%+v: %v", r, err)
		}
	}
}

// The property compares manifests with the plain list of all segments.
func TestRetentionOfListsIsThatOfSegments(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := newHistory()
		var left []segment.Summary
		var waiting []string
		start := int64(0)
		for range rapid.IntRange(1, 6).Draw(t, "rounds") {
			for range rapid.IntRange(0, MaxSegments).Draw(t, "appended") {
				s := after(h.Manifest, 2, 3)
				h.append(t, s)
				left = append(left, s)
			}
			r := messages.Retention{
				Before: rapid.Int64Range(0, h.End.Offset+5).Draw(t, "before"), Cutoff: rapid.Int64Range(0, int64(h.End.Sequence)+5).Draw(t, "cutoff"),
				Bytes: rapid.Int64Range(0, 2000*MaxSegments).Draw(t, "bytes"),
			}
			bytes := int64(len(left)) * 1000
			for len(left) > 0 && (left[0].End <= r.Before || left[0].LastTime < r.Cutoff || r.Bytes > 0 && bytes-1000 >= r.Bytes) {
				bytes -= 1000
				waiting = append(waiting, left[0].Key)
				start = left[0].End
				left = left[1:]
			}
			start = max(start, min(r.Before, h.End.Offset))
			dropped := slices.DeleteFunc(slices.Clone(h.retain(t, r)), func(key string) bool { return h.lists[key] != nil })
			if want := waiting[len(waiting)-len(dropped):]; !slices.Equal(dropped, want) {
				t.Fatalf("%d segments were dropped: %v", len(dropped), dropped)
			}
			if !slices.Equal(h.all(t), left) || h.Start != start || h.Bytes() != bytes {
				t.Fatalf("%d segments from offset %d are left, want %d from %d", len(h.all(t)), h.Start, len(left), start)
			}
			for key := range h.lists { // a list is named or waits
				if named := slices.ContainsFunc(h.Lists, func(s segment.Summary) bool { return s.Key == key }); named == slices.Contains(h.Waiting, key) {
					t.Fatalf("list %s is named: %v", key, named)
				}
			}
		}
		if got := len(h.Waiting); got < len(waiting) {
			t.Fatalf("%d keys wait, want %d segments", got, len(waiting))
		}
	})
}
