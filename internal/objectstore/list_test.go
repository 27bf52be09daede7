package objectstore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// listed returns what List yields: sizes by keys.
func listed(t *testing.T, store Store, prefix string) map[string]int64 {
	t.Helper()
	found := make(map[string]int64)
	for object, err := range store.List(t.Context(), prefix) {
		if err != nil {
			t.Fatal(err)
		}
		if _, twice := found[object.Key]; twice {
			t.Errorf("%s is listed twice", object.Key)
		}
		found[object.Key] = object.Size
	}
	return found
}

// fill puts objects under new keys and returns their sizes.
func fill(t *testing.T, store Store, count int) map[string]int64 {
	t.Helper()
	stored := make(map[string]int64)
	for n := range count {
		key, err := NewKey(time.Now(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Put(t.Context(), key, [][]byte{pattern(n)}); err != nil {
			t.Fatal(err)
		}
		stored[key] = int64(n)
	}
	return stored
}

func TestListYieldsEveryObjectWithItsSize(t *testing.T) {
	store, root := openTemp(t)
	if found := listed(t, store, ""); len(found) != 0 {
		t.Errorf("an empty store lists %v", found)
	}
	stored := fill(t, store, 100)
	if found := listed(t, store, ""); !maps.Equal(found, stored) {
		t.Errorf("%d objects are listed, %d are stored", len(found), len(stored))
	}
	again, err := Open(root, 0)
	if err != nil {
		t.Fatal(err)
	}
	if found := listed(t, again, ""); !maps.Equal(found, stored) {
		t.Errorf("opened again: %d objects are listed, %d are stored", len(found), len(stored))
	}
}

func TestListYieldsOnlyKeysOfThePrefix(t *testing.T) {
	store, _ := openTemp(t)
	stored := fill(t, store, 100)
	one := slices.Sorted(maps.Keys(stored))[0]
	for _, prefix := range []string{"objects", "objects/", "objects/3", "objects/3/", one[:len("objects/3/01")], one, "other/", "objects/g"} {
		want := maps.Clone(stored)
		maps.DeleteFunc(want, func(key string, _ int64) bool { return !strings.HasPrefix(key, prefix) })
		if found := listed(t, store, prefix); !maps.Equal(found, want) {
			t.Errorf("prefix %q: %d objects are listed, %d begin with it", prefix, len(found), len(want))
		}
	}
}

func TestListLeavesOutWhatIsNoObject(t *testing.T) {
	store, root := openTemp(t)
	stored := fill(t, store, 3)
	key := slices.Sorted(maps.Keys(stored))[0]
	folder, name := filepath.Join(root, filepath.FromSlash(filepath.Dir(key))), filepath.Base(key)
	foreign := []string{
		filepath.Join(root, "store.json"), filepath.Join(root, "objects", "README"), filepath.Join(root, "objects", name),
		filepath.Join(folder, name+".tmp"), filepath.Join(folder, strings.ToLower(name)), filepath.Join(folder, "."+name),
		filepath.Join(root, "objects", "g", name), filepath.Join(root, "lost+found", "objects", "0", name),
		filepath.Join(folder, "sub", name),
	}
	for _, path := range foreign {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o750), os.WriteFile(path, []byte("x"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	other, err := NewKey(time.Now(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(root, filepath.FromSlash(other)), 0o750); err != nil { // a folder under a key
		t.Fatal(err)
	}
	if found := listed(t, store, ""); !maps.Equal(found, stored) {
		t.Errorf("listed are %v, stored %v", found, stored)
	}
}

func TestListPassesOverFilesThatGoAwayMeanwhile(t *testing.T) {
	store, root := openTemp(t)
	stored := fill(t, store, 50)
	last := slices.Sorted(maps.Keys(stored))[len(stored)-1]
	count := 0
	for _, err := range store.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		if count++; count == 1 {
			if err := os.RemoveAll(filepath.Join(root, filepath.FromSlash(filepath.Dir(last)))); err != nil {
				t.Fatal(err)
			}
		}
	}
	if count == 0 || count >= len(stored) {
		t.Errorf("%d objects are listed of %d", count, len(stored))
	}
}

func TestListEndsWithItsContextAndWhenItIsLeft(t *testing.T) {
	store, _ := openTemp(t)
	fill(t, store, 10)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last error
	count := 0
	for object, err := range store.List(ctx, "") {
		if last = err; err == nil && object.Key == "" {
			t.Error("an object without a key")
		}
		count++
		cancel()
	}
	if !errors.Is(last, context.Canceled) || count != 2 {
		t.Errorf("after %d steps: %v, want context.Canceled after the first object", count, last)
	}
	for _, err := range store.List(t.Context(), "") {
		if err != nil {
			t.Error(err)
		}
		break
	}
}

func TestListReportsAFolderThatCannotBeRead(t *testing.T) {
	store, root := openTemp(t)
	fill(t, store, 40)
	if err := errors.Join(os.RemoveAll(filepath.Join(root, "objects")), os.Symlink("objects", filepath.Join(root, "objects"))); err != nil {
		t.Fatal(err)
	}
	// A link is no folder of the store: what it leads to is not listed.
	if found := listed(t, store, ""); len(found) != 0 {
		t.Errorf("listed are %v", found)
	}
	if os.Geteuid() == 0 {
		return // everything is readable for root
	}
	if err := errors.Join(os.Remove(filepath.Join(root, "objects")), os.Mkdir(filepath.Join(root, "objects"), 0)); err != nil {
		t.Fatal(err)
	}
	var last error
	for _, err := range store.List(t.Context(), "") {
		last = err
	}
	if last == nil || !strings.Contains(fmt.Sprint(last), "list objects") {
		t.Errorf("error is %v, want one that says what failed", last)
	}
}

func TestListContinuesBehindAFolderThatCannotBeRead(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("everything is readable for root")
	}
	store, root := openTemp(t)
	stored := fill(t, store, 100)
	hidden := filepath.Join(root, "objects", "3")
	if err := os.Chmod(hidden, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(hidden, 0o700) })
	maps.DeleteFunc(stored, func(key string, _ int64) bool { return strings.HasPrefix(key, "objects/3/") })
	errs := 0
	for object, err := range store.List(t.Context(), "") {
		if err != nil {
			errs++
			continue
		}
		delete(stored, object.Key)
	}
	if errs != 1 || len(stored) != 0 {
		t.Errorf("%d errors, and %d objects of other folders are not listed", errs, len(stored))
	}
}

func TestEveryNewKeyIsListed(t *testing.T) {
	for range 1000 {
		key, err := NewKey(time.Now(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if !IsKey(key) {
			t.Fatalf("%q is not taken for a key", key)
		}
	}
	for _, key := range []string{"", "objects/0", "objects/0/1", "objects/0/01ARZ3NDEKTSV4RRFFQ69G5FA", "store.json"} {
		if IsKey(key) {
			t.Errorf("%q is taken for a key", key)
		}
	}
}
