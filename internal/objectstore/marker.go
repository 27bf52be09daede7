package objectstore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// MarkerName is the name of the marker, beside the objects of the store.
const MarkerName = "laneway-store"

// maxMarker bounds what is read of a marker.
const maxMarker = 4096

// Mark implements Store. The marker is written under another name and linked: unlike
// a file that is written in place, it is either there as a whole or not at all, and
// unlike a rename, a link never replaces a file.
func (l *local) Mark(ctx context.Context, content []byte) error {
	if err := l.mark(ctx, content); err != nil {
		return fmt.Errorf("write the marker %s: %w", filepath.Join(l.root, MarkerName), err)
	}
	return nil
}

func (l *local) mark(ctx context.Context, content []byte) error {
	temporary := filepath.Join(l.root, "."+MarkerName+"-"+rand.Text())
	file, err := l.disk.create(temporary)
	if err != nil {
		return folderError(err)
	}
	if err := l.fill(ctx, file, [][]byte{content}); err != nil {
		return l.discard(classify(err), temporary)
	}
	linkErr := l.disk.link(temporary, filepath.Join(l.root, MarkerName))
	if linkErr != nil && !errors.Is(linkErr, fs.ErrExist) {
		return l.discard(classify(linkErr), temporary)
	}
	if err := l.disk.remove(temporary); err != nil {
		return classify(err)
	}
	// A marker that is there already may be that of a process that died before this.
	if err := l.disk.syncFolder(l.root); err != nil {
		return folderError(err)
	}
	if linkErr != nil {
		return classify(linkErr)
	}
	return nil
}

// Marker implements Store.
func (l *local) Marker(ctx context.Context) ([]byte, error) {
	path := filepath.Join(l.root, MarkerName)
	content, err := readMarker(ctx, path)
	switch {
	case err == nil:
		return content, nil
	case errors.Is(err, fs.ErrNotExist):
		err = fmt.Errorf("%w: %w", ErrNotFound, err)
	default:
		err = classify(err)
	}
	return nil, fmt.Errorf("read the marker %s: %w", path, err)
}

func readMarker(ctx context.Context, path string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, maxMarker))
}
