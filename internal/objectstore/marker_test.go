package objectstore

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestMarkerIsReadAsItWasWritten(t *testing.T) {
	store, root := openTemp(t)
	if _, err := store.Marker(t.Context()); !errors.Is(err, ErrNotFound) {
		t.Fatalf("a new store: %v, want ErrNotFound", err)
	}
	if err := store.Mark(t.Context(), []byte("mine")); err != nil {
		t.Fatal(err)
	}
	if err := store.Mark(t.Context(), []byte("yours")); !errors.Is(err, ErrExists) {
		t.Errorf("a second marker: %v, want ErrExists", err)
	}
	again, err := Open(root, 0)
	if err != nil {
		t.Fatal(err)
	}
	if content, err := again.Marker(t.Context()); err != nil || string(content) != "mine" {
		t.Errorf("marker %q (%v)", content, err)
	}
	if left, err := os.ReadDir(root); err != nil || len(left) != 1 {
		t.Errorf("the folder has %v (%v), want the marker alone", left, err)
	}
	stored := fill(t, store, 3)
	if found := listed(t, store, ""); !maps.Equal(found, stored) {
		t.Errorf("listed are %v, stored %v", found, stored)
	}
}

func TestOneOfManyMarksAStore(t *testing.T) {
	store, _ := openTemp(t)
	var wait sync.WaitGroup
	errs := make([]error, 16)
	for i := range errs {
		wait.Go(func() { errs[i] = store.Mark(t.Context(), pattern(i)) })
	}
	wait.Wait()
	first := slices.Index(errs, nil)
	for i, err := range errs {
		if i != first && !errors.Is(err, ErrExists) {
			t.Errorf("marker %d: %v, want one to be written and ErrExists for the others", i, err)
		}
	}
	if content, err := store.Marker(t.Context()); first < 0 || err != nil || string(content) != string(pattern(first)) {
		t.Errorf("the marker is not number %d (%v)", first, err)
	}
}

// named leaves out what is random in the names of files.
func named(steps []string) []string {
	random := regexp.MustCompile(`\.laneway-store-\w+`)
	for i := range steps {
		steps[i] = random.ReplaceAllString(steps[i], "temporary")
	}
	return steps
}

func TestMarkReturnsAfterFileAndFolderAreSynced(t *testing.T) {
	store, recorder := openRecorded(t)
	want := []string{"create temporary", "write temporary", "sync temporary", "link laneway-store", "remove temporary", "syncdir ."}
	for _, wantErr := range []error{nil, ErrExists} { // an existing marker may be left by a process that crashed before the sync
		recorder.take()
		if err := store.Mark(t.Context(), []byte("x")); !errors.Is(err, wantErr) {
			t.Errorf("error %v, want %v", err, wantErr)
		}
		if got := named(recorder.take()); !slices.Equal(got, want) {
			t.Errorf("steps are %q, want %q", got, want)
		}
	}
}

func TestMarkerIsNeverTorn(t *testing.T) {
	for _, step := range []string{"create", "write", "sync", "link"} {
		store, recorder := openRecorded(t)
		recorder.fail = map[string]error{step: syscall.ENOSPC}
		if err := store.Mark(t.Context(), []byte("marker")); !errors.Is(err, ErrFull) {
			t.Errorf("%s fails: %v, want ErrFull", step, err)
		}
		if _, err := store.Marker(t.Context()); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s fails: %v, want no marker", step, err)
		}
		if left, err := os.ReadDir(recorder.root); err != nil || len(left) > 0 {
			t.Errorf("%s fails: %v is left (%v)", step, left, err)
		}
	}
}

// A volume that is unmounted under a running process leaves an empty folder there.
func TestNothingIsPutIntoAFolderThatTookThePlaceOfTheStore(t *testing.T) {
	store, root := openTemp(t)
	fill(t, store, 3)
	if err := errors.Join(os.Rename(root, root+"-unmounted"), os.Mkdir(root, 0o750)); err != nil {
		t.Fatal(err)
	}
	for range 100 { // keys of all prefixes, also of those that were not used before
		key, err := NewKey(time.Now(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Put(t.Context(), key, [][]byte{[]byte("x")}); err == nil {
			t.Fatalf("%s is stored", key)
		}
	}
	err := filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			t.Errorf("%s was written", strings.TrimPrefix(path, root))
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
