package objectstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// local is the durable store in a folder of a local file system: an object is a
// file, its key is the path below the root.
//
// An object is written directly to its final path, and synced together with its folder before
// Put returns. A temporary file and a rename would cost another commit of the file system's
// journal, and are not needed: no log refers to the object before Put returns, and a key is
// never used twice. A crash leaves an object without references, whole or torn. Scan
// recognizes a torn one.
type local struct {
	root    string
	disk    disk
	folders *folders
	reserve reserve
}

// openLocal opens the store in the folder root, an absolute path.
func openLocal(root string, keepFree int64, disk disk) (*local, error) {
	store := &local{
		root:    root,
		disk:    disk,
		folders: &folders{disk: disk, root: root, ready: make(map[string]struct{})},
		reserve: reserve{bytes: keepFree, free: func() (int64, error) { return disk.free(root) }},
	}
	if err := store.folders.ensure(root); err != nil {
		return nil, fmt.Errorf("open object store in %s: %w", root, folderError(err))
	}
	return store, nil
}

// Put implements Store.
func (l *local) Put(ctx context.Context, key string, parts [][]byte) error {
	err := CheckKey(key)
	if err == nil {
		err = l.put(ctx, filepath.Join(l.root, filepath.FromSlash(key)), parts)
	}
	if err != nil {
		return fmt.Errorf("put object %q: %w", key, err)
	}
	return nil
}

// Room implements Store.
func (l *local) Room() error {
	if err := l.reserve.take(0); err != nil {
		return classify(err)
	}
	l.reserve.give(0)
	return nil
}

// put makes the parts a durable file at target.
func (l *local) put(ctx context.Context, target string, parts [][]byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	size := total(parts)
	if err := l.reserve.take(size); err != nil {
		return classify(err)
	}
	defer l.reserve.give(size)
	folder := filepath.Dir(target)
	file, err := l.create(folder, target)
	if err != nil {
		return err
	}
	if err := l.fill(ctx, file, parts); err != nil {
		return l.discard(classify(err), target)
	}
	if err := l.disk.syncFolder(folder); err != nil {
		return l.discard(folderError(err), target)
	}
	if l.shortLived(folder) {
		// The folder may be new. Its entry is synced only now, because before it had a file, another
		// process could have removed the folder and made it again.
		if err := l.disk.syncFolder(filepath.Dir(folder)); err != nil {
			return l.discard(folderError(err), target)
		}
	}
	return nil
}

// create creates the file target in a folder.
func (l *local) create(folder, target string) (*os.File, error) {
	if l.shortLived(folder) {
		return l.createShortLived(folder, target)
	}
	if err := l.folders.ensure(folder); err != nil {
		return nil, folderError(err)
	}
	file, err := l.disk.create(target)
	if err != nil {
		return nil, classify(err)
	}
	return file, nil
}

// maxCreate bounds the attempts to create a file in a folder that Delete removes at the same time.
const maxCreate = 10

// createShortLived is create for a folder that Delete may remove before the file is in it.
func (l *local) createShortLived(folder, target string) (*os.File, error) {
	if err := l.folders.ensure(filepath.Dir(folder)); err != nil {
		return nil, folderError(err)
	}
	for try := 1; ; try++ {
		if _, err := l.folders.make(folder); err != nil {
			return nil, folderError(err)
		}
		file, err := l.disk.create(target)
		if err == nil {
			return file, nil
		}
		if !errors.Is(err, fs.ErrNotExist) || try == maxCreate {
			return nil, classify(err)
		}
	}
}

// total returns the sum of the sizes of the parts.
func total(parts [][]byte) int64 {
	var bytes int64
	for _, part := range parts {
		bytes += int64(len(part))
	}
	return bytes
}

// fill writes the parts to the file, syncs and closes it. A failed sync is final: the kernel
// may have dropped the dirty pages, and a second sync would succeed without writing them.
func (l *local) fill(ctx context.Context, file *os.File, parts [][]byte) error {
	err := l.disk.write(file, parts)
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = l.disk.sync(file)
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	return err
}

// discard removes the file of a failed Put. It returns the cause of the failure, joined with
// an error of the removal.
func (l *local) discard(cause error, path string) error {
	if err := l.disk.remove(path); err != nil {
		return fmt.Errorf("%w (and a file stays behind: %w)", cause, err)
	}
	return cause
}

// folderError classifies an error of a step in which "exists" is not about the key.
func folderError(err error) error {
	if errors.Is(err, fs.ErrExist) {
		return err
	}
	return classify(err)
}

// ReadRange implements Store.
func (l *local) ReadRange(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	if err := errors.Join(CheckKey(key), ctx.Err()); err != nil {
		return nil, fmt.Errorf("read object %q: %w", key, err)
	}
	content, err := readRange(filepath.Join(l.root, filepath.FromSlash(key)), offset, length)
	var reason *rangeError
	switch {
	case err == nil:
		return content, nil
	case errors.As(err, &reason):
		return nil, &CorruptError{Damage: reason.damage(), Key: key, Offset: offset, Length: length, Reason: reason.Error()}
	case errors.Is(err, fs.ErrNotExist):
		err = fmt.Errorf("%w: %w", ErrNotFound, err)
	default:
		err = classify(err)
	}
	return nil, fmt.Errorf("read object %q at offset %d, length %d: %w", key, offset, length, err)
}

// rangeError returns the error for a range that a file does not have. A negative size means
// that the path is not a regular file.
type rangeError struct{ size int64 }

func (e *rangeError) Error() string {
	if e.size < 0 {
		return "what lies under the key is not a file"
	}
	return fmt.Sprintf("the range is not within the object's %d bytes", e.size)
}

func (e *rangeError) damage() Damage {
	if e.size < 0 {
		return Foreign
	}
	return Torn
}

// readRange reads a range of a file. It checks the size first, so that no memory is allocated
// for a length that is far too large.
func readRange(path string, offset, length int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &rangeError{size: -1}
	}
	if offset < 0 || length < 0 || offset > info.Size()-length {
		return nil, &rangeError{size: info.Size()}
	}
	content := make([]byte, length)
	n, err := file.ReadAt(content, offset)
	if errors.Is(err, io.EOF) {
		return nil, &rangeError{size: offset + int64(n)}
	}
	if err != nil {
		return nil, err
	}
	return content, nil
}

// Close implements Store. The local store keeps nothing open.
func (l *local) Close() error { return nil }
