package objectstore

import (
	"os"
	"syscall"
)

// disk has the file system operations of the local store. Tests replace them to check the
// order of the steps and to make one fail.
type disk struct {
	free         func(folder string) (int64, error)
	makeFolder   func(path string) error
	syncFolder   func(path string) error
	removeFolder func(path string) error // if it is empty
	create       func(path string) (*os.File, error)
	write        func(file *os.File, parts [][]byte) error
	sync         func(file *os.File) error
	link         func(from, to string) error
	remove       func(path string) error
}

var systemDisk = disk{
	free:       freeSpace,
	makeFolder: func(path string) error { return os.Mkdir(path, 0o750) },
	syncFolder: syncFolder,
	// os.Remove would also remove a link to a folder.
	removeFolder: syscall.Rmdir,
	create: func(path string) (*os.File, error) {
		return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	},
	write:  gather,
	sync:   (*os.File).Sync,
	link:   os.Link,
	remove: os.Remove,
}

// syncFolder makes the entries of a folder durable.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	err = folder.Sync()
	if closeErr := folder.Close(); err == nil {
		err = closeErr
	}
	return err
}
