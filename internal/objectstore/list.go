package objectstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path"
	"path/filepath"
	"slices"
	"strings"

	core "laneway.dev/internal/core/generation"
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
	if !mayHoldKeys(folder) {
		return fs.SkipDir
	}
	if below := folder + "/"; folder != "." && !strings.HasPrefix(below, prefix) && !strings.HasPrefix(prefix, below) {
		return fs.SkipDir
	}
	return nil
}

// mayHoldKeys reports whether there are keys of objects below a folder.
func mayHoldKeys(folder string) bool {
	digit, _ := path.Match(string(KindUndated)+"?", folder)
	return folder == "." || digit || holdsGeneration(folder) ||
		slices.ContainsFunc(Kinds(), func(k Kind) bool { return folder+"/" == string(k) })
}

// holdsGeneration reports whether a folder has the objects of one kind and generation.
func holdsGeneration(folder string) bool {
	kind, generation := splitKey(folder)
	return generation > 0 && len(folder) == len(kind)+core.Digits
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
