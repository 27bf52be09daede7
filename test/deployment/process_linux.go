package deployment

import "syscall"

// attributes make the kernel end a process when the test that started it is
// gone, however it went.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
