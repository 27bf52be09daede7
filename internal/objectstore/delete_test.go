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

func TestTheFolderOfAGenerationGoesWithItsLastObject(t *testing.T) {
	store, recorder := openRecorded(t)
	const folder = "m/00000000000000ff"
	const one, two = folder + "/01ARZ3NDEKTSV4RRFFQ69G5FAV", folder + "/01ARZ3NDEKTSV4RRFFQ69G5FAW"
	for _, key := range []string{one, two} {
		if err := store.Put(t.Context(), key, nil); err != nil {
			t.Fatal(err)
		}
	}
	exists := func() bool {
		_, err := os.Stat(filepath.Join(recorder.root, folder))
		return err == nil
	}
	for _, key := range []string{one, two, two} {
		recorder.take()
		there := exists()
		if err := store.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		want := []string{"remove " + key, "syncdir " + folder}
		if there {
			want = append(want, "rmdir "+folder)
		}
		if got := recorder.take(); !slices.Equal(got, want) {
			t.Errorf("steps are %q, want %q", got, want)
		}
		if got := exists(); got != (key == one) {
			t.Errorf("after %s is deleted, the folder exists: %v", key, got)
		}
	}
	if _, err := os.Stat(filepath.Join(recorder.root, "m")); err != nil {
		t.Error(err)
	}
}

func TestAGenerationThatIsALinkIsNotRemoved(t *testing.T) {
	store, root := openTemp(t)
	const folder = "m/00000000000000ff"
	elsewhere := t.TempDir()
	if err := errors.Join(os.Mkdir(filepath.Join(root, "m"), 0o750), os.Symlink(elsewhere, filepath.Join(root, folder))); err != nil {
		t.Fatal(err)
	}
	if err := store.Delete(t.Context(), folder+"/01ARZ3NDEKTSV4RRFFQ69G5FAV"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(filepath.Join(root, folder)); err != nil {
		t.Error(err)
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
