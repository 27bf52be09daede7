package objectstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path"
	"path/filepath"
	"strings"
)

// Listed is an object as List finds it.
type Listed struct {
	Key  string
	Size int64 // in bytes
}

// List implements Store.
func (l *local) List(ctx context.Context, prefix string) iter.Seq2[Listed, error] {
	return func(yield func(Listed, error) bool) {
		err := filepath.WalkDir(l.root, func(name string, entry fs.DirEntry, err error) error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				return pass(err, yield)
			}
			key, err := filepath.Rel(l.root, name)
			if err != nil {
				return err
			}
			key = filepath.ToSlash(key)
			if entry.IsDir() {
				return enter(key, prefix)
			}
			if !strings.HasPrefix(key, prefix) || !IsKey(key) || !entry.Type().IsRegular() {
				return nil
			}
			info, err := entry.Info()
			if err != nil {
				return pass(err, yield)
			}
			if !yield(Listed{Key: key, Size: info.Size()}, nil) {
				return fs.SkipAll
			}
			return nil
		})
		if err != nil {
			yield(Listed{}, listError(err))
		}
	}
}

// enter returns fs.SkipDir for a folder without keys of the prefix, since there may be many
// other files beside the objects.
func enter(folder, prefix string) error {
	inside, _ := path.Match("objects/?", folder)
	if folder != "." && folder != "objects" && !inside {
		return fs.SkipDir
	}
	if below := folder + "/"; folder != "." && !strings.HasPrefix(below, prefix) && !strings.HasPrefix(prefix, below) {
		return fs.SkipDir
	}
	return nil
}

// pass yields an error about one file or folder, and lets the walk continue. A missing file is
// no error: a failed Put has removed it since it was listed.
func pass(err error, yield func(Listed, error) bool) error {
	if errors.Is(err, fs.ErrNotExist) || yield(Listed{}, listError(err)) {
		return nil
	}
	return fs.SkipAll
}

func listError(err error) error { return fmt.Errorf("list objects: %w", classify(err)) }
