// Package storetest has the tests that every object store passes.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"strings"
	"testing"
	"time"

	"laneway.dev/internal/objectstore"
)

// Run tests the stores that open returns against the contract of objectstore.Store. Each call
// of open returns a new store that is empty, and closes it when the test ends.
func Run(t *testing.T, open func(*testing.T) objectstore.Store) {
	for name, test := range map[string]func(*testing.T, objectstore.Store){
		"PutGathersItsPartsIntoOneObject":   putGathers,
		"PutLeavesThePartsAlone":            putLeavesParts,
		"PutNeverReplacesAnObject":          putNeverReplaces,
		"OneOfManyPutsOfOneKeyWins":         oneOfManyPuts,
		"PutsOfManyKeysRunAtOnce":           manyPuts,
		"RangesAreExact":                    rangesAreExact,
		"RangeBeyondTheEndIsTorn":           rangeBeyondTheEnd,
		"UnknownKeyIsNotFound":              unknownKey,
		"KeysThatLeaveTheStoreAreRejected":  badKeys,
		"ListYieldsEveryObjectWithItsSize":  listYields,
		"ListYieldsOnlyKeysOfThePrefix":     listPrefix,
		"ListEndsWhenItIsLeft":              listEnds,
		"ListLeavesOutWhatIsNoObject":       listLeavesOut,
		"DeletedObjectIsGone":               deleted,
		"GenerationIsEmptiedAndFilledAgain": emptied,
		"MarkerIsReadAsItWasWritten":        markerIsRead,
		"OneOfManyMarkersWins":              oneOfManyMarkers,
		"PartsOfClustersAreSeparateOrEqual": parts,
		"EndedContextChangesNothing":        endedContext,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// NewKey returns a new key.
func NewKey(t testing.TB) string {
	t.Helper()
	key, err := objectstore.NewKey(time.Now(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// keys returns new keys: of objects without a generation, and of all kinds in two generations.
func keys(t testing.TB) []string {
	t.Helper()
	all := []string{NewKey(t), NewKey(t)}
	for _, generation := range []uint64{1, 0xfedcba9876543210} {
		for _, newKey := range []func(uint64, time.Time, io.Reader) (string, error){objectstore.NewBatchesKey, objectstore.NewSegmentKey, objectstore.NewManifestKey, objectstore.NewRecordKey} {
			key, err := newKey(generation, time.Now(), nil)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, key)
		}
	}
	return all
}

// pattern returns n bytes of which no two ranges are likely to be equal.
func pattern(n int) []byte {
	content := make([]byte, n)
	state := uint32(n) + 1
	for i := range content {
		state = state*1664525 + 1013904223
		content[i] = byte(state >> 24)
	}
	return content
}

func put(t *testing.T, store objectstore.Store, parts ...[]byte) string {
	t.Helper()
	key := NewKey(t)
	putAt(t, store, key, parts...)
	return key
}

func putAt(t *testing.T, store objectstore.Store, key string, parts ...[]byte) {
	t.Helper()
	if err := store.Put(t.Context(), key, parts); err != nil {
		t.Fatal(err)
	}
}

// fill puts objects of all kinds and returns their sizes by key.
func fill(t *testing.T, store objectstore.Store, count int) map[string]int64 {
	t.Helper()
	stored := make(map[string]int64, count)
	for len(stored) < count {
		for _, key := range keys(t) {
			if size := len(stored); size < count {
				putAt(t, store, key, pattern(size))
				stored[key] = int64(size)
			}
		}
	}
	return stored
}

func wantContent(t *testing.T, store objectstore.Store, key string, offset int64, want []byte) {
	t.Helper()
	got, err := store.ReadRange(t.Context(), key, offset, int64(len(want)))
	if err != nil {
		t.Errorf("%d bytes at %d: %v", len(want), offset, err)
	} else if got == nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes at %d are not those that were stored", len(want), offset)
	}
}

func wantError(t *testing.T, err, want error, key string) {
	t.Helper()
	if !errors.Is(err, want) || !strings.Contains(err.Error(), key) {
		t.Errorf("error %v, want %v with %q", err, want, key)
	}
}

// listed returns the sizes of the objects that are listed, by key.
func listed(t *testing.T, store objectstore.Store, prefix string) map[string]int64 {
	t.Helper()
	found := make(map[string]int64)
	for object, err := range store.List(t.Context(), prefix) {
		if err != nil {
			t.Fatal(err)
		}
		if _, twice := found[object.Key]; twice {
			t.Errorf("%q is listed twice", object.Key)
		}
		found[object.Key] = object.Size
	}
	return found
}

func wantListed(t *testing.T, store objectstore.Store, prefix string, want map[string]int64) {
	t.Helper()
	if found := listed(t, store, prefix); !maps.Equal(found, want) {
		t.Errorf("with prefix %q, %v is listed, want %v", prefix, found, want)
	}
}

func endedContext(t *testing.T, store objectstore.Store) {
	there := put(t, store, []byte("x"))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	key := NewKey(t)
	wantError(t, store.Put(ended, key, [][]byte{[]byte("y")}), context.Canceled, key)
	_, err := store.ReadRange(ended, there, 0, 1)
	wantError(t, err, context.Canceled, there)
	wantError(t, store.Delete(ended, there), context.Canceled, there)
	wantError(t, store.Mark(ended, []byte("mine")), context.Canceled, objectstore.MarkerName)
	_, err = store.Marker(ended)
	wantError(t, err, context.Canceled, objectstore.MarkerName)
	var last error
	for _, last = range store.List(ended, "") {
	}
	wantError(t, last, context.Canceled, "list objects")

	wantListed(t, store, "", map[string]int64{there: 1})
	_, err = store.Marker(t.Context())
	wantError(t, err, objectstore.ErrNotFound, objectstore.MarkerName)
}
