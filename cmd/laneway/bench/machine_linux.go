package bench

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// attributes returns the attributes of a server's process. An interrupt of the terminal does
// not reach the servers, which are stopped in order. The kernel kills them when this process
// ends for any reason.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// settle writes the dirty pages of earlier measurements to the disk, so that they do not
// slow down the next one.
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

// inMemory reports whether the folder lies in memory, where a sync costs nothing.
func inMemory(folder string) bool {
	var about unix.Statfs_t
	return unix.Statfs(folder, &about) == nil && about.Type == unix.TMPFS_MAGIC
}
