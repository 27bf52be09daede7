package bench

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// attributes keep an interrupt of the terminal away from the servers, which are
// stopped in order, and make the kernel end them when this process is gone,
// however it went.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// settle writes out what earlier measurements left to the kernel, so that the
// next one does not pay for it.
func settle(folder string) error {
	file, err := os.Open(folder)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := unix.Syncfs(int(file.Fd())); err != nil {
		return fmt.Errorf("sync the file system of %s: %w", folder, err)
	}
	return nil
}

// inMemory says whether the folder lies in memory, where a sync costs nothing.
func inMemory(folder string) bool {
	var about unix.Statfs_t
	return unix.Statfs(folder, &about) == nil && about.Type == unix.TMPFS_MAGIC
}
