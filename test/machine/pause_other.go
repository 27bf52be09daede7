//go:build !linux

package machine

import (
	"os"
	"syscall"
)

// Pause stops a child process where it is, or soon after it returns.
func Pause(p *os.Process) error { return p.Signal(syscall.SIGSTOP) }
