package machine

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Pause stops a child process where it is. When it returns, no thread of the process runs any more:
// on a busy machine some go on for a while after the signal.
func Pause(p *os.Process) error {
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	for {
		// Nothing is taken from whoever waits for the end of the process.
		err := unix.Waitid(unix.P_PID, p.Pid, nil, unix.WSTOPPED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
