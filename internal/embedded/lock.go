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

// ErrLocked is wrapped by the error of a [Start] with a data folder that another process, or
// another server of this process, has locked. The error is a [*LockedError] with the holder.
var ErrLocked = errors.New("data folder is locked")

// LockedError is the error for a data folder that is locked.
type LockedError struct {
	// Folder is the data folder, as an absolute path.
	Folder string
	// PID is the process that has locked the folder; 0 if it is not known.
	PID int
}

// Error names the folder and the other process.
func (e *LockedError) Error() string {
	holder := "pid unknown"
	if e.PID != 0 {
		holder = "pid " + strconv.Itoa(e.PID)
	}
	return fmt.Sprintf("another laneway serve (%s) uses the data folder %s: stop it, or choose another --data", holder, e.Folder)
}

// Is makes errors.Is(err, ErrLocked) true.
func (e *LockedError) Is(target error) bool { return target == ErrLocked }

// folderLock is the lock of a data folder. It ends with the process: the kernel releases an
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

// release releases the lock. The file stays: if it were removed, two processes could lock two
// different files with the same name.
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
