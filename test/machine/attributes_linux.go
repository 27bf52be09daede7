package machine

import "syscall"

// Attributes make the kernel end a process when the test that started it is
// gone, however it went.
func Attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
