package objectstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// recorder is a disk that notes each step before it is done, and can make a
// step fail.
type recorder struct {
	root string

	mutex sync.Mutex
	steps []string
	fail  map[string]error // by the first word of the step
	hook  func(step string)
}

func (r *recorder) note(step, path string) error {
	inside, _ := filepath.Rel(r.root, path)
	step += " " + inside
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.steps = append(r.steps, step)
	if r.hook != nil {
		r.hook(step)
	}
	return r.fail[strings.Fields(step)[0]]
}

func (r *recorder) disk() disk {
	return disk{
		makeFolder: func(path string) error {
			return firstError(r.note("mkdir", path), func() error { return systemDisk.makeFolder(path) })
		},
		syncFolder: func(path string) error {
			return firstError(r.note("syncdir", path), func() error { return systemDisk.syncFolder(path) })
		},
		removeFolder: func(path string) error {
			return firstError(r.note("rmdir", path), func() error { return systemDisk.removeFolder(path) })
		},
		create: func(path string) (*os.File, error) {
			if err := r.note("create", path); err != nil {
				return nil, err
			}
			return systemDisk.create(path)
		},
		write: func(file *os.File, parts [][]byte) error {
			if err := r.note("write", file.Name()); err != nil {
				// A disk that fills up has taken the beginning.
				return errors.Join(systemDisk.write(file, [][]byte{parts[0][:1]}), err)
			}
			return systemDisk.write(file, parts)
		},
		sync: func(file *os.File) error {
			return firstError(r.note("sync", file.Name()), func() error { return systemDisk.sync(file) })
		},
		link: func(from, to string) error {
			return firstError(r.note("link", to), func() error { return systemDisk.link(from, to) })
		},
		remove: func(path string) error {
			return firstError(r.note("remove", path), func() error { return systemDisk.remove(path) })
		},
	}
}

func firstError(err error, then func() error) error {
	if err != nil {
		return err
	}
	return then()
}

func (r *recorder) take() []string {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	taken := r.steps
	r.steps = nil
	return taken
}

func openRecorded(t *testing.T) (*local, *recorder) {
	t.Helper()
	recorder := &recorder{root: filepath.Join(t.TempDir(), "store")}
	store, err := openLocal(recorder.root, 0, recorder.disk())
	if err != nil {
		t.Fatal(err)
	}
	return store, recorder
}

func TestPutReturnsAfterFileAndFolderAreSynced(t *testing.T) {
	store, recorder := openRecorded(t)
	opened := recorder.take()
	if got := opened[len(opened)-2:]; !slices.Equal(got, []string{"mkdir .", "syncdir .."}) {
		t.Errorf("opening ended with %q, want the root's entry synced", got)
	}
	object := func(key string) []string {
		return []string{"create " + key, "write " + key, "sync " + key, "syncdir " + path.Dir(key)}
	}
	for _, put := range []struct {
		key  string
		want []string
	}{
		{"objects/1/a", slices.Concat([]string{"mkdir objects", "syncdir .", "mkdir objects/1", "syncdir objects"},
			object("objects/1/a"))},
		{"objects/1/b", object("objects/1/b")},
		{"objects/2/c", slices.Concat([]string{"mkdir objects/2", "syncdir objects"},
			object("objects/2/c"))},
	} {
		if err := store.Put(t.Context(), put.key, [][]byte{[]byte("x")}); err != nil {
			t.Fatal(err)
		}
		if got := recorder.take(); !slices.Equal(got, put.want) {
			t.Errorf("%s: steps are\n%q, want\n%q", put.key, got, put.want)
		}
	}
}

func TestThePutOfASegmentSyncsTheFolderOfItsGenerationAfterTheFile(t *testing.T) {
	store, recorder := openRecorded(t)
	recorder.take()
	const one, two = "s/0000000000000001/01ARZ3NDEKTSV4RRFFQ69G5FAV", "s/0000000000000001/01ARZ3NDEKTSV4RRFFQ69G5FAW"
	object := func(key string) []string {
		return []string{"mkdir s/0000000000000001", "create " + key, "write " + key, "sync " + key, "syncdir s/0000000000000001", "syncdir s"}
	}
	for _, put := range []struct {
		key  string
		want []string
	}{
		{one, append([]string{"mkdir s", "syncdir ."}, object(one)...)},
		{two, object(two)},
	} {
		if err := store.Put(t.Context(), put.key, nil); err != nil {
			t.Fatal(err)
		}
		if got := recorder.take(); !slices.Equal(got, put.want) {
			t.Errorf("%s: steps are\n%q, want\n%q", put.key, got, put.want)
		}
	}
}

func TestASegmentIsStoredAlthoughItsFolderIsRemovedMeanwhile(t *testing.T) {
	store, recorder := openRecorded(t)
	const key = "s/0000000000000001/01ARZ3NDEKTSV4RRFFQ69G5FAV"
	folder, removals := filepath.Join(recorder.root, path.Dir(key)), 0
	recorder.hook = func(step string) {
		if strings.HasPrefix(step, "create") && removals < 3 {
			removals++
			if err := os.Remove(folder); err != nil {
				t.Error(err)
			}
		}
	}
	if err := store.Put(t.Context(), key, [][]byte{[]byte("x")}); err != nil {
		t.Fatal(err)
	}
	if found := files(t, recorder.root); !slices.Equal(found, []string{key}) {
		t.Errorf("files are %q, want %q", found, key)
	}
}

func TestFoldersThatAreThereAreSyncedOnceMore(t *testing.T) {
	_, recorder := openRecorded(t)
	if err := os.MkdirAll(filepath.Join(recorder.root, "objects", "1"), 0o750); err != nil {
		t.Fatal(err)
	}
	store, err := openLocal(recorder.root, 0, recorder.disk())
	if err != nil {
		t.Fatal(err)
	}
	recorder.take()
	if err := store.Put(t.Context(), "objects/1/a", nil); err != nil {
		t.Fatal(err)
	}
	want := []string{"mkdir objects", "syncdir .", "mkdir objects/1", "syncdir objects"}
	if got := recorder.take(); !slices.Equal(got[:4], want) {
		t.Errorf("steps are %q, want them to begin with %q", got, want)
	}
}

func TestAStepThatFailsLeavesNothingBehind(t *testing.T) {
	for _, step := range []string{"create", "write", "sync", "syncdir"} {
		for cause, want := range map[error]error{
			syscall.ENOSPC: ErrFull, syscall.EDQUOT: ErrFull, syscall.EIO: ErrMedium,
		} {
			t.Run(fmt.Sprintf("%s %v", step, cause), func(t *testing.T) {
				store, recorder := openRecorded(t)
				// Makes the folder, which is not what is to fail here.
				if err := store.Put(t.Context(), "objects/1/first", [][]byte{[]byte("kept")}); err != nil {
					t.Fatal(err)
				}
				recorder.fail = map[string]error{step: &os.PathError{Op: step, Path: "p", Err: cause}}
				err := store.Put(t.Context(), "objects/1/a", [][]byte{[]byte("xyz")})
				if !errors.Is(err, want) || !errors.Is(err, cause) || !strings.Contains(err.Error(), "objects/1/a") {
					t.Errorf("error is %v, want %v with the key", err, want)
				}
				if found := files(t, recorder.root); !slices.Equal(found, []string{"objects/1/first"}) {
					t.Errorf("files are %q, want only the first object", found)
				}
				recorder.fail = nil
				if err := store.Put(t.Context(), "objects/1/a", [][]byte{[]byte("xyz")}); err != nil {
					t.Errorf("Put after the fault: %v", err)
				}
				if got, err := store.ReadRange(t.Context(), "objects/1/first", 0, 4); string(got) != "kept" || err != nil {
					t.Errorf("first object is %q, %v", got, err)
				}
			})
		}
	}
}

func TestAFolderThatIsNotDurableIsNotUsed(t *testing.T) {
	store, recorder := openRecorded(t)
	recorder.fail = map[string]error{"syncdir": syscall.EIO}
	if err := store.Put(t.Context(), "objects/1/a", nil); !errors.Is(err, ErrMedium) {
		t.Errorf("error is %v, want ErrMedium", err)
	}
	recorder.fail = nil
	recorder.take()
	if err := store.Put(t.Context(), "objects/1/a", nil); err != nil {
		t.Fatal(err)
	}
	if got := recorder.take()[:2]; !slices.Equal(got, []string{"mkdir objects", "syncdir ."}) {
		t.Errorf("steps begin with %q, want the folder to be synced again", got)
	}
}

func TestWhatCannotBeRemovedIsReported(t *testing.T) {
	store, recorder := openRecorded(t)
	recorder.fail = map[string]error{"sync": syscall.EIO, "remove": syscall.EACCES}
	err := store.Put(t.Context(), "k", [][]byte{[]byte("x")})
	if !errors.Is(err, ErrMedium) || !errors.Is(err, syscall.EACCES) {
		t.Errorf("error is %v, want both the cause and the failed removal", err)
	}
}

func TestCanceledWriteStoresNothing(t *testing.T) {
	store, recorder := openRecorded(t)
	ctx, cancel := context.WithCancel(t.Context())
	recorder.hook = func(step string) {
		if strings.HasPrefix(step, "write") {
			cancel()
		}
	}
	if err := store.Put(ctx, "k", [][]byte{[]byte("x")}); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want context.Canceled", err)
	}
	if found := files(t, recorder.root); len(found) != 0 {
		t.Errorf("files left: %q", found)
	}
}
