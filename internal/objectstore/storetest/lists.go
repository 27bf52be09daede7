package storetest

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"laneway.dev/internal/objectstore"
)

func listYields(t *testing.T, store objectstore.Store) {
	wantListed(t, store, "", map[string]int64{})
	wantListed(t, store, "", fill(t, store, 40))
}

func listPrefix(t *testing.T, store objectstore.Store) {
	stored := fill(t, store, 24)
	prefixes := []string{"x", "objects/x", "/", "s/x", "s/1"}
	for _, kind := range objectstore.Kinds() {
		var some string // a key of this kind
		for some = range stored {
			if objectstore.KeyKind(some) == kind {
				break
			}
		}
		for n := range len(some) + 1 {
			prefixes = append(prefixes, some[:n])
		}
		prefixes = append(prefixes, some+"0")
	}
	for _, prefix := range prefixes {
		want := maps.Clone(stored)
		maps.DeleteFunc(want, func(key string, _ int64) bool { return !strings.HasPrefix(key, prefix) })
		wantListed(t, store, prefix, want)
	}
}

func listEnds(t *testing.T, store objectstore.Store) {
	fill(t, store, 5)
	list := store.List(t.Context(), "")
	for range 2 { // a list can be iterated over again
		seen := 0
		for _, err := range list {
			if err != nil {
				t.Fatal(err)
			}
			if seen++; seen == 2 {
				break
			}
		}
		if seen != 2 {
			t.Errorf("%d objects before the list was left, want 2", seen)
		}
	}
}

func listLeavesOut(t *testing.T, store objectstore.Store) {
	stored := fill(t, store, 3)
	if err := store.Mark(t.Context(), []byte("mine")); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{
		"other", "objects/readme", "objects/0/short", "objects/z/01ARZ3NDEKTSV4RRFFQ69G5FAV",
		"s/01ARZ3NDEKTSV4RRFFQ69G5FAV", "m/1/01ARZ3NDEKTSV4RRFFQ69G5FAV", "s/0000000000000000/01ARZ3NDEKTSV4RRFFQ69G5FAV",
		"s/000000000000000A/01ARZ3NDEKTSV4RRFFQ69G5FAV", "q/0000000000000001/01ARZ3NDEKTSV4RRFFQ69G5FAV",
	} {
		if err := store.Put(t.Context(), key, [][]byte{[]byte("x")}); err != nil {
			t.Fatal(err)
		}
	}
	wantListed(t, store, "", stored)
}

func deleted(t *testing.T, store objectstore.Store) {
	stored := fill(t, store, 3)
	gone := slices.Sorted(maps.Keys(stored))[1]
	for range 2 { // an object that is not there can be deleted as well
		if err := store.Delete(t.Context(), gone); err != nil {
			t.Fatal(err)
		}
	}
	delete(stored, gone)
	wantListed(t, store, "", stored)
	_, err := store.ReadRange(t.Context(), gone, 0, 1)
	wantError(t, err, objectstore.ErrNotFound, gone)
	if err := store.Delete(t.Context(), objectstore.MarkerName); err == nil {
		t.Error("the marker can be deleted")
	}
}

// emptied deletes the objects of a generation while others are put into it. A server that keeps
// objects in folders may reject a put because the folder is removed at this moment.
func emptied(t *testing.T, store objectstore.Store) {
	put := func(content []byte) (key string) {
		for {
			key, err := objectstore.NewSegmentKey(7, time.Now(), nil)
			if err == nil {
				err = store.Put(t.Context(), key, [][]byte{content})
			}
			if objectstore.Passing(err) {
				continue
			}
			if err != nil {
				t.Error(err)
			}
			return key
		}
	}
	const writers, rounds = 4, 25
	var wait sync.WaitGroup
	kept := make([]string, writers)
	for i := range kept {
		wait.Go(func() {
			for range rounds {
				if err := store.Delete(t.Context(), put(pattern(i))); err != nil {
					t.Error(err)
				}
			}
			kept[i] = put(pattern(i))
		})
	}
	wait.Wait()
	want := make(map[string]int64)
	for i, key := range kept {
		want[key] = int64(i)
	}
	wantListed(t, store, string(objectstore.KindSegment), want)
}

func markerIsRead(t *testing.T, store objectstore.Store) {
	_, err := store.Marker(t.Context())
	wantError(t, err, objectstore.ErrNotFound, objectstore.MarkerName)
	if err := store.Mark(t.Context(), []byte("mine\n")); err != nil {
		t.Fatal(err)
	}
	wantError(t, store.Mark(t.Context(), []byte("yours")), objectstore.ErrExists, objectstore.MarkerName)
	wantMarker(t, store, "mine\n")
}

func wantMarker(t *testing.T, store objectstore.Store, want string) {
	t.Helper()
	if content, err := store.Marker(t.Context()); err != nil || string(content) != want {
		t.Errorf("the marker is %q (%v), want %q", content, err, want)
	}
}

func oneOfManyMarkers(t *testing.T, store objectstore.Store) {
	errs := make([]error, 8)
	var wait sync.WaitGroup
	for i := range errs {
		wait.Go(func() { errs[i] = store.Mark(t.Context(), pattern(i+1)) })
	}
	wait.Wait()
	first := slices.Index(errs, nil)
	for i, err := range errs {
		if i != first && !errors.Is(err, objectstore.ErrExists) {
			t.Errorf("marker %d: %v, want one to be written and ErrExists for the others", i, err)
		}
	}
	if first < 0 {
		t.Fatal("no marker was written")
	}
	wantMarker(t, store, string(pattern(first+1)))
}

// parts tests the parts of two clusters. A store without parts has the same objects for both.
func parts(t *testing.T, store objectstore.Store) {
	if err := store.Mark(t.Context(), []byte("mine")); err != nil {
		t.Fatal(err)
	}
	one, two := store.Below("one"), store.Below("two")
	wantListed(t, one, "", map[string]int64{})
	stored := fill(t, one, 5)
	key := slices.Sorted(maps.Keys(stored))[4]
	wantListed(t, one, "", stored)
	wantListed(t, store.Below("one"), key, map[string]int64{key: stored[key]})
	wantContent(t, one, key, 0, pattern(int(stored[key])))
	for _, part := range []objectstore.Store{one, two} {
		wantMarker(t, part, "mine")
		wantError(t, part.Mark(t.Context(), []byte("yours")), objectstore.ErrExists, objectstore.MarkerName)
	}
	if one == store {
		wantListed(t, two, "", stored)
		return
	}
	for _, other := range []objectstore.Store{two, store, store.Below("")} {
		wantListed(t, other, "", map[string]int64{})
		_, err := other.ReadRange(t.Context(), key, 0, 0)
		wantError(t, err, objectstore.ErrNotFound, key)
		if err := other.Delete(t.Context(), key); err != nil {
			t.Error(err)
		}
	}
	if err := two.Put(t.Context(), key, [][]byte{[]byte("another object with this key")}); err != nil {
		t.Error(err)
	}
	if err := two.Close(); err != nil {
		t.Error(err)
	}
	wantListed(t, one, "", stored) // closing a part has no effect on the store
}
