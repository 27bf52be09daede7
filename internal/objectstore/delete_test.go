package objectstore

import (
	"errors"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func TestADeletedObjectIsGone(t *testing.T) {
	store, _ := openTemp(t)
	stored := fill(t, store, 3)
	gone := slices.Sorted(maps.Keys(stored))[1]
	for range 2 { // an object that is not there can be deleted, too
		if err := store.Delete(t.Context(), gone); err != nil {
			t.Fatal(err)
		}
	}
	delete(stored, gone)
	if found := listed(t, store, ""); !maps.Equal(found, stored) {
		t.Errorf("listed are %v, want %v", found, stored)
	}
	if _, err := store.ReadRange(t.Context(), gone, 0, 1); !errors.Is(err, ErrNotFound) {
		t.Errorf("reading it: %v, want ErrNotFound", err)
	}
}

func TestDeleteSyncsTheFolder(t *testing.T) {
	store, recorder := openRecorded(t)
	gone := slices.Collect(maps.Keys(fill(t, store, 1)))[0]
	recorder.take()
	want := []string{"remove " + gone, "syncdir " + path.Dir(gone)}
	for range 2 { // whoever has removed it before may have died before the sync
		if err := store.Delete(t.Context(), gone); err != nil {
			t.Fatal(err)
		}
		if got := recorder.take(); !slices.Equal(got, want) {
			t.Errorf("steps are %q, want %q", got, want)
		}
	}
	recorder.fail = map[string]error{"syncdir": syscall.EIO}
	if err := store.Delete(t.Context(), gone); !errors.Is(err, ErrMedium) || !strings.Contains(err.Error(), gone) {
		t.Errorf("error %v, want ErrMedium with the key", err)
	}
}

func TestDeleteOfAnUnusedFolderSucceeds(t *testing.T) {
	store, root := openTemp(t)
	if err := store.Delete(t.Context(), keyOf([16]byte{})); err != nil {
		t.Error(err)
	}
	if found := files(t, root); len(found) > 0 {
		t.Errorf("files are %q", found)
	}
}

func TestOnlyObjectsCanBeDeleted(t *testing.T) {
	store, root := openTemp(t)
	if err := store.Mark(t.Context(), []byte("mine")); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(root, "objects", "0"), 0o750); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{MarkerName, "objects", "objects/0", "objects/0/a", "", ".", "../x", "/etc/passwd"} {
		if err := store.Delete(t.Context(), key); err == nil {
			t.Errorf("%q was deleted", key)
		}
	}
	if _, err := os.Stat(filepath.Join(root, "objects", "0")); err != nil {
		t.Error(err)
	}
	if _, err := store.Marker(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAFolderHasTheObjectsOfOneCluster(t *testing.T) {
	store, _ := openTemp(t)
	stored := fill(t, store, 2)
	if found := listed(t, store.Below("c1"), ""); !maps.Equal(found, stored) {
		t.Errorf("listed are %v, want those of the whole store, %v", found, stored)
	}
}
