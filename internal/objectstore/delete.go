package objectstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
)

// Delete implements Store. It accepts only keys of objects, because other paths may be
// folders or the marker.
func (l *local) Delete(ctx context.Context, key string) error {
	if !IsKey(key) {
		return fmt.Errorf("delete object %q: this is not the key of an object", key)
	}
	if err := l.delete(ctx, filepath.Join(l.root, filepath.FromSlash(key))); err != nil {
		return fmt.Errorf("delete object %q: %w", key, err)
	}
	return nil
}

func (l *local) delete(ctx context.Context, path string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := l.disk.remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return classify(err)
	}
	folder := filepath.Dir(path)
	// A missing file may have been removed by a process that died before this.
	err := l.disk.syncFolder(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // no object was ever put into this folder, or it was removed
	}
	if err == nil && l.shortLived(folder) {
		// There is a new folder every few minutes. This fails while it holds other objects. If the
		// removal is lost in a crash, an empty folder remains, which does no harm.
		_ = l.disk.removeFolder(folder)
	}
	return folderError(err)
}

// shortLived reports whether a folder is removed with its last object.
func (l *local) shortLived(folder string) bool {
	inside, err := filepath.Rel(l.root, folder)
	return err == nil && holdsGeneration(filepath.ToSlash(inside))
}

// Below implements Store. A folder has one marker, which is linked exclusively, and so it has
// the objects of one cluster only.
func (l *local) Below(string) Store { return l }
