package deployment

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"laneway.dev/test/machine"
)

// process is one run of a binary.
type process struct {
	command *exec.Cmd
	done    chan struct{} // closed when the process has ended
}

// startProcess runs a binary with its output appended to a file.
func startProcess(binary string, args, env []string, log string) (*process, error) {
	output, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer output.Close()
	if _, err := fmt.Fprintf(output, "--- %s: %s %q\n", time.Now().Format(time.RFC3339Nano), binary, args); err != nil {
		return nil, err
	}
	p := &process{command: exec.Command(binary, args...), done: make(chan struct{})}
	p.command.Env = env
	p.command.Stdout, p.command.Stderr = output, output
	p.command.SysProcAttr = machine.Attributes()
	if err := p.command.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(p.done)
		_ = p.command.Wait() // what there is to know is in ProcessState
	}()
	return p, nil
}

// signal sends a signal; that the process has ended already is no error.
func (p *process) signal(s syscall.Signal) error {
	if err := p.command.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// wait returns the exit code once the process has ended; -1 if a signal ended it.
func (p *process) wait(ctx context.Context) (int, error) {
	select {
	case <-p.done:
		return p.command.ProcessState.ExitCode(), nil
	case <-ctx.Done():
		return 0, fmt.Errorf("process %d has not ended: %w", p.command.Process.Pid, context.Cause(ctx))
	}
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}
