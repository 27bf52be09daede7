package embedded

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const lockName = "laneway.lock"

// ErrLocked is what errors.Is finds in the error of a [Start] on a data folder that another
// process, or another server of this process, holds. errors.As with a [*LockedError] tells who.
var ErrLocked = errors.New("data folder is locked")

// LockedError says which folder is taken and by whom.
type LockedError struct {
	// Folder is the data folder, as an absolute path.
	Folder string
	// PID is the process that holds the folder, 0 if it is not known.
	PID int
}

// Error says what an operator needs to find the other process.
func (e *LockedError) Error() string {
	holder := "pid unknown"
	if e.PID != 0 {
		holder = "pid " + strconv.Itoa(e.PID)
	}
	return fmt.Sprintf("another laneway serve (%s) uses the data folder %s: stop it, or choose another --data", holder, e.Folder)
}

// Is makes errors.Is(err, ErrLocked) true.
func (e *LockedError) Is(target error) bool { return target == ErrLocked }

// folderLock holds a data folder until it is released or the process ends: the kernel drops an
// flock with its last descriptor, so a crash leaves nothing to clean up.
type folderLock struct{ file *os.File }

// lockFolder takes the lock of an existing folder, without waiting for it.
func lockFolder(folder string) (*folderLock, error) {
	file, err := os.OpenFile(filepath.Join(folder, lockName), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("opening the lock of the data folder: %w", err)
	}
	err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		locked := &LockedError{Folder: folder, PID: readPID(file)}
		return nil, errors.Join(locked, file.Close())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("locking the data folder %s: %w", folder, err), file.Close())
	}
	lock := &folderLock{file: file}
	if err := lock.writePID(); err != nil {
		return nil, errors.Join(fmt.Errorf("writing the lock of the data folder %s: %w", folder, err), lock.release())
	}
	return lock, nil
}

func (l *folderLock) writePID() error {
	if err := l.file.Truncate(0); err != nil {
		return err
	}
	_, err := l.file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

// release gives the folder up. The file stays: to remove it would let two processes lock two
// different files of the same name.
func (l *folderLock) release() error {
	return errors.Join(l.file.Truncate(0), l.file.Close())
}

// readPID returns 0 for a holder that has not written its pid yet.
func readPID(file *os.File) int {
	text, err := io.ReadAll(io.LimitReader(file, 32))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	return pid
}
