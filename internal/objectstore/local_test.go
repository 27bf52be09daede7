package objectstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

func openTemp(t testing.TB) (Store, string) {
	t.Helper()
	root := filepath.Join(t.TempDir(), "store")
	store, err := Open("file://"+root, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store, root
}

// files lists all files of the store, as paths below its root.
func files(t testing.TB, root string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			inside, _ := filepath.Rel(root, path)
			found = append(found, inside)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// pattern returns n bytes that differ from place to place.
func pattern(n int) []byte {
	content := make([]byte, n)
	for i := range content {
		content[i] = byte(i*7 + i>>8)
	}
	return content
}

func TestPutGathersItsPartsIntoOneObject(t *testing.T) {
	store, root := openTemp(t)
	for _, count := range []int{0, 1, 2, maxGather - 1, maxGather, maxGather + 1, 3*maxGather + 5} {
		content := pattern(count * 3)
		parts := make([][]byte, 0, 2*count)
		for i := range count {
			parts = append(parts, content[3*i:3*i+1+i%3], content[3*i+1+i%3:3*i+3])
		}
		key := fmt.Sprintf("objects/0/%d", count)
		if err := store.Put(t.Context(), key, parts); err != nil {
			t.Fatalf("%d parts: %v", len(parts), err)
		}
		got, err := store.ReadRange(t.Context(), key, 0, int64(len(content)))
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("%d parts: content differs, error %v", len(parts), err)
		}
		info, err := os.Stat(filepath.Join(root, key))
		if err != nil || info.Size() != int64(len(content)) {
			t.Errorf("%d parts: object is %v, want %d bytes, error %v", len(parts), info, len(content), err)
		}
	}
}

func TestPutLeavesThePartsAlone(t *testing.T) {
	store, _ := openTemp(t)
	parts := [][]byte{[]byte("one"), {}, []byte("two")}
	if err := store.Put(t.Context(), "a", parts); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprintf("%q", parts) != `["one" "" "two"]` {
		t.Errorf("parts are %q after Put", parts)
	}
}

func TestAKeyThatIsTakenIsRefused(t *testing.T) {
	store, root := openTemp(t)
	if err := store.Put(t.Context(), "objects/1/a", [][]byte{[]byte("first")}); err != nil {
		t.Fatal(err)
	}
	err := store.Put(t.Context(), "objects/1/a", [][]byte{[]byte("other")})
	if !errors.Is(err, ErrExists) || !strings.Contains(err.Error(), "objects/1/a") {
		t.Errorf("error is %v, want ErrExists with the key", err)
	}
	got, err := store.ReadRange(t.Context(), "objects/1/a", 0, 5)
	if string(got) != "first" || err != nil {
		t.Errorf("object is %q, %v; want the first content", got, err)
	}
	if found := files(t, root); len(found) != 1 {
		t.Errorf("files left: %q", found)
	}
}

func TestOneOfManyPutsOfOneKeyWins(t *testing.T) {
	store, root := openTemp(t)
	const writers = 16
	failures := make([]error, writers)
	var group sync.WaitGroup
	for writer := range writers {
		group.Go(func() {
			content := bytes.Repeat([]byte{byte(writer)}, 10_000)
			failures[writer] = store.Put(t.Context(), "objects/1/a", [][]byte{content})
		})
	}
	group.Wait()
	winner := -1
	for writer, err := range failures {
		switch {
		case err == nil && winner == -1:
			winner = writer
		case err == nil:
			t.Errorf("writers %d and %d both succeeded", winner, writer)
		case !errors.Is(err, ErrExists):
			t.Errorf("writer %d: %v", writer, err)
		}
	}
	got, err := store.ReadRange(t.Context(), "objects/1/a", 0, 10_000)
	if err != nil || !bytes.Equal(got, bytes.Repeat([]byte{byte(winner)}, 10_000)) {
		t.Errorf("object is not the one of writer %d, error %v", winner, err)
	}
	if found := files(t, root); len(found) != 1 {
		t.Errorf("files left: %q", found)
	}
}

func TestPutsOfManyKeysRunAtOnce(t *testing.T) {
	store, _ := openTemp(t)
	var group sync.WaitGroup
	for writer := range 16 {
		group.Go(func() {
			for i := range 8 {
				key := fmt.Sprintf("objects/%x/%d-%d", (writer+i)%16, writer, i)
				if err := store.Put(t.Context(), key, [][]byte{[]byte(key)}); err != nil {
					t.Error(err)
				}
				if got, err := store.ReadRange(t.Context(), key, 0, int64(len(key))); string(got) != key || err != nil {
					t.Errorf("%s: read %q, %v", key, got, err)
				}
			}
		})
	}
	group.Wait()
}

func TestARangeBeyondTheEndIsCorruption(t *testing.T) {
	store, _ := openTemp(t)
	if err := store.Put(t.Context(), "k", [][]byte{pattern(100)}); err != nil {
		t.Fatal(err)
	}
	for _, asked := range [][2]int64{
		{0, 101},
		{100, 1},
		{99, 2},
		{1000, 0},
		{-1, 5},
		{0, -1},
		{0, math.MaxInt64},
		{math.MaxInt64, math.MaxInt64},
		{1, math.MaxInt64},
	} {
		_, err := store.ReadRange(t.Context(), "k", asked[0], asked[1])
		var corrupt *CorruptError
		if !errors.As(err, &corrupt) {
			t.Errorf("range %v: error is %v, want a CorruptError", asked, err)
			continue
		}
		if corrupt.Key != "k" || corrupt.Offset != asked[0] || corrupt.Length != asked[1] {
			t.Errorf("range %v: error names %+v", asked, corrupt)
		}
	}
	for _, asked := range [][2]int64{{0, 100}, {99, 1}, {100, 0}, {0, 0}} {
		got, err := store.ReadRange(t.Context(), "k", asked[0], asked[1])
		if err != nil || !bytes.Equal(got, pattern(100)[asked[0]:asked[0]+asked[1]]) {
			t.Errorf("range %v: %d bytes, %v", asked, len(got), err)
		}
	}
}

func TestAnUnknownKeyIsNotFound(t *testing.T) {
	store, _ := openTemp(t)
	_, err := store.ReadRange(t.Context(), "objects/0/none", 0, 1)
	if !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "objects/0/none") {
		t.Errorf("error is %v, want ErrNotFound with the key", err)
	}
}

func TestKeysThatLeaveTheStoreAreRefused(t *testing.T) {
	store, root := openTemp(t)
	outside := filepath.Join(filepath.Dir(root), "outside")
	if err := os.WriteFile(outside, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"", ".", "..", "../outside", "a/../../outside", outside, "a//b", "a/", "./a"} {
		if err := store.Put(t.Context(), key, nil); err == nil || !strings.Contains(err.Error(), "is not a key") {
			t.Errorf("Put(%q): %v", key, err)
		}
		if got, err := store.ReadRange(t.Context(), key, 0, 1); err == nil || !strings.Contains(err.Error(), "is not a key") {
			t.Errorf("ReadRange(%q): %q, %v", key, got, err)
		}
	}
}

func TestAnEndedContextStoresNothing(t *testing.T) {
	store, root := openTemp(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := store.Put(ctx, "k", [][]byte{[]byte("x")}); !errors.Is(err, context.Canceled) {
		t.Errorf("Put: %v, want context.Canceled", err)
	}
	if _, err := store.ReadRange(ctx, "k", 0, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("ReadRange: %v, want context.Canceled", err)
	}
	if found := files(t, root); len(found) != 0 {
		t.Errorf("files left: %q", found)
	}
}

func TestObjectsAreThereWhenTheStoreIsOpenedAgain(t *testing.T) {
	store, root := openTemp(t)
	if err := store.Put(t.Context(), "objects/a/1", [][]byte{[]byte("kept")}); err != nil {
		t.Fatal(err)
	}
	again, err := Open(root, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := again.ReadRange(t.Context(), "objects/a/1", 0, 4); string(got) != "kept" || err != nil {
		t.Errorf("object is %q, %v", got, err)
	}
	if err := again.Put(t.Context(), "objects/a/2", [][]byte{[]byte("more")}); err != nil {
		t.Error(err)
	}
}

func TestUploadsStopBeforeTheReserveIsTouched(t *testing.T) {
	system := systemDisk
	free := int64(1000)
	system.free = func(string) (int64, error) { return free, nil }
	store, err := openLocal(t.TempDir(), 400, system)
	if err != nil {
		t.Fatal(err)
	}
	put := func(key string, size int) error {
		return store.Put(t.Context(), key, [][]byte{make([]byte, size/2), make([]byte, size-size/2)})
	}
	if err := put("fits", 600); err != nil {
		t.Errorf("an object that leaves the reserve: %v", err)
	}
	if err := store.Room(); err != nil {
		t.Errorf("there is room: %v", err)
	}
	for _, free = range []int64{399, 0} {
		if err := store.Room(); !errors.Is(err, ErrFull) {
			t.Errorf("with %d bytes free: room is %v, want ErrFull", free, err)
		}
	}
	for _, free = range []int64{1000, 400, 0} {
		err := put("large", 601)
		if !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), fmt.Sprint(free, " bytes are free")) || !strings.Contains(err.Error(), "400") {
			t.Errorf("with %d bytes free: error is %v, want ErrFull with what is free and what is kept", free, err)
		}
	}
	if found := files(t, store.root); len(found) != 1 {
		t.Errorf("files are %q, want the first object only", found)
	}
	free = 1000
	if err := put("again", 600); err != nil {
		t.Errorf("after space returned: %v", err)
	}
}

func TestUploadsUnderWayCountAgainstTheReserve(t *testing.T) {
	system := systemDisk
	system.free = func(string) (int64, error) { return 1000, nil }
	var store *local
	var second error
	system.write = func(file *os.File, parts [][]byte) error {
		if second == nil {
			second = store.Put(t.Context(), "second", [][]byte{make([]byte, 301)})
		}
		return systemDisk.write(file, parts)
	}
	var err error
	if store, err = openLocal(t.TempDir(), 400, system); err != nil {
		t.Fatal(err)
	}
	if err := store.Put(t.Context(), "first", [][]byte{make([]byte, 300)}); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(second, ErrFull) {
		t.Errorf("an upload beside another one: %v, want ErrFull", second)
	}
	if err := store.Put(t.Context(), "third", [][]byte{make([]byte, 600)}); err != nil {
		t.Errorf("what the first one took is not given back: %v", err)
	}
}

func TestAFileSystemThatCannotBeAskedRefuses(t *testing.T) {
	system := systemDisk
	system.free = func(string) (int64, error) { return 0, syscall.EIO }
	store, err := openLocal(t.TempDir(), 1, system)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Put(t.Context(), "k", nil); !errors.Is(err, ErrMedium) {
		t.Errorf("error is %v, want ErrMedium", err)
	}
}
