package objectstore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// folders makes folders durable: before a folder is used, its entry in its parent
// is synced, once per process. This includes folders that exist already, because
// the process that created one may have crashed before it synced it.
type folders struct {
	disk disk
	root string // folder of the store

	mutex sync.Mutex          // held while folders are made, guards ready
	ready map[string]struct{} // folders that are durable; none of generations, so they are few
}

// ensure creates a folder and those above it, and returns when all of them are durable.
func (f *folders) ensure(path string) error {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	return f.ensureLocked(path)
}

func (f *folders) ensureLocked(path string) error {
	if _, ready := f.ready[path]; ready {
		return nil
	}
	parent := filepath.Dir(path)
	if parent == path {
		return nil
	}
	if err := f.ensureLocked(parent); err != nil {
		return err
	}
	made, err := f.make(path)
	if err != nil {
		return err
	}
	if err := f.disk.syncFolder(parent); err != nil && (made || !f.foreign(parent) || !unsyncable(err)) {
		return fmt.Errorf("make folder %s durable: %w", path, err)
	}
	f.ready[path] = struct{}{}
	return nil
}

// make creates one folder, and reports whether it is new.
func (f *folders) make(path string) (bool, error) {
	err := f.disk.makeFolder(path)
	if err == nil {
		return true, nil
	}
	info, statErr := os.Stat(path)
	if statErr != nil {
		return false, err
	}
	if !info.IsDir() {
		return false, fmt.Errorf("%s is not a folder", path)
	}
	return false, nil
}

// foreign reports whether a folder is above the root of the store.
func (f *folders) foreign(path string) bool {
	inside, err := filepath.Rel(f.root, path)
	return err != nil || !filepath.IsLocal(inside)
}

// unsyncable reports whether an error means that this process can never sync a folder.
// Folders above the store may belong to other users, or be on a file system that does not
// support it.
func unsyncable(err error) bool {
	return errors.Is(err, os.ErrPermission) || errors.Is(err, syscall.EINVAL) ||
		errors.Is(err, syscall.ENOTSUP) || errors.Is(err, syscall.EROFS)
}
