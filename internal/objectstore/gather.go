package objectstore

import (
	"errors"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxGather is the highest number of parts one system call takes (IOV_MAX).
const maxGather = 1024

// gather writes the parts to the start of the file with as few system calls as
// possible and without copying them together.
func gather(file *os.File, parts [][]byte) error {
	var offset int64
	window := make([][]byte, 0, min(len(parts), maxGather))
	for len(parts) > 0 {
		taken := min(len(parts), maxGather)
		// A copy, because a short write moves the start of a part.
		window = append(window[:0], parts[:taken]...)
		written, err := gatherWindow(file, window, offset)
		if err != nil {
			return err
		}
		offset += written
		parts = parts[taken:]
	}
	return nil
}

// gatherWindow writes up to maxGather parts at the offset and returns their size. It consumes
// the window.
func gatherWindow(file *os.File, window [][]byte, offset int64) (int64, error) {
	var written int64
	for window = advance(window, 0); len(window) > 0; {
		n, err := pwritev(file, window, offset+written)
		if err != nil {
			return written, &os.PathError{Op: "write", Path: file.Name(), Err: err}
		}
		written += int64(n)
		window = advance(window, n)
	}
	return written, nil
}

// pwritev is one gathered write. It is repeated if a signal interrupts it.
func pwritev(file *os.File, window [][]byte, offset int64) (n int, err error) {
	connection, err := file.SyscallConn()
	if err != nil {
		return 0, err
	}
	callErr := connection.Write(func(fd uintptr) bool {
		for {
			n, err = unix.Pwritev(int(fd), window, offset)
			if !errors.Is(err, syscall.EINTR) {
				return true
			}
		}
	})
	switch {
	case callErr != nil:
		return 0, callErr
	case err == nil && n == 0:
		return 0, io.ErrShortWrite
	default:
		return n, err
	}
}

// advance drops the first n bytes of the window, and parts that are empty.
func advance(window [][]byte, n int) [][]byte {
	for len(window) > 0 && n >= len(window[0]) {
		n -= len(window[0])
		window = window[1:]
	}
	if n > 0 {
		window[0] = window[0][n:]
	}
	return window
}
