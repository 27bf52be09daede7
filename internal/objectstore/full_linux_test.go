package objectstore

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestAFullDiskRefusesAndRecovers(t *testing.T) {
	root := t.TempDir()
	if err := unix.Mount("tmpfs", root, "tmpfs", 0, "size=256k"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("CI must be able to mount a tmpfs: %v", err)
		}
		t.Skipf("needs the right to mount a tmpfs (%v); TestAStepThatFailsLeavesNothingBehind injects the same error", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(root, 0); err != nil {
			t.Error(err)
		}
	})
	store, err := Open(root, 0)
	if err != nil {
		t.Fatal(err)
	}
	content := pattern(64 << 10)
	stored := 0
	for ; err == nil && stored < 16; stored++ {
		err = store.Put(t.Context(), fmt.Sprintf("objects/0/%d", stored), [][]byte{content[:1000], content[1000:]})
	}
	stored--
	if !errors.Is(err, ErrFull) || stored == 0 {
		t.Fatalf("after %d objects the error is %v, want ErrFull", stored, err)
	}
	if found := files(t, root); len(found) != stored {
		t.Errorf("files are %q, want the %d objects that were acknowledged", found, stored)
	}
	for i := range stored {
		got, err := store.ReadRange(t.Context(), fmt.Sprintf("objects/0/%d", i), 0, int64(len(content)))
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("object %d cannot be read back: %v", i, err)
		}
	}
	if err := os.Remove(filepath.Join(root, "objects/0/0")); err != nil {
		t.Fatal(err)
	}
	if err := store.Put(t.Context(), "objects/0/again", [][]byte{content}); err != nil {
		t.Errorf("Put after space returned: %v", err)
	}
}
