package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	// startTimeout bounds the start of a set of servers, elections included.
	startTimeout = time.Minute
	// stopTimeout is how long a server may take to end by itself.
	stopTimeout = 30 * time.Second
	// pollInterval paces the questions about what no event tells.
	pollInterval = 10 * time.Millisecond
)

// process is a server of a measurement, over its restarts. It belongs to one
// goroutine.
type process struct {
	name  string
	args  []string
	log   string // file of its output
	ready func(context.Context) error

	command *exec.Cmd
	done    chan struct{} // closed when it has ended
}

// start starts the process; ready says when it serves.
func (p *process) start(binary string) error {
	output, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer output.Close()
	p.command = exec.Command(binary, p.args...)
	p.command.Env = environment()
	p.command.Stdout, p.command.Stderr = output, output
	p.command.SysProcAttr = attributes()
	if err := p.command.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	done := make(chan struct{})
	p.done = done
	go func() {
		defer close(done)
		_ = p.command.Wait() // what there is to know is in ProcessState
	}()
	return nil
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// stop ends the process and waits for its end, by force if need be.
func (p *process) stop() error {
	if p.done == nil || p.ended() {
		return nil
	}
	if err := p.signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(stopTimeout):
	}
	err := fmt.Errorf("%s did not stop within %s and was killed", p.name, stopTimeout)
	if killErr := p.signal(syscall.SIGKILL); killErr != nil {
		return errors.Join(err, killErr)
	}
	<-p.done
	return err
}

// signal sends a signal; that the process has ended already is no error.
func (p *process) signal(s syscall.Signal) error {
	if err := p.command.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal %s: %w", p.name, err)
	}
	return nil
}

// eventually asks until the condition returns nil. Its error is the last one
// when ctx ends, or that a process has ended.
func eventually(ctx context.Context, condition func(context.Context) error) error {
	pace := time.NewTicker(pollInterval)
	defer pace.Stop()
	for {
		err := condition(ctx)
		if _, gone := errors.AsType[*endedError](err); err == nil || gone {
			return err
		}
		select {
		case <-pace.C:
		case <-ctx.Done():
			return fmt.Errorf("%w (%w)", err, context.Cause(ctx))
		}
	}
}

// environment returns that of this process without what would change how a
// server runs.
func environment() []string {
	return slices.DeleteFunc(os.Environ(), func(variable string) bool {
		return slices.ContainsFunc([]string{"LANEWAY_", "NATS_", "OTEL_"}, func(prefix string) bool {
			return strings.HasPrefix(variable, prefix)
		})
	})
}

// Ports are taken from below those that the kernel gives to outgoing
// connections: a server that is started again needs the same ones.
const (
	firstPort = 20000
	lastPort  = 32000
)

// addresses returns free addresses of the loopback interface, all different.
func addresses(n int) ([]string, error) {
	var found []string
	var listeners []net.Listener
	defer func() {
		for _, l := range listeners {
			_ = l.Close() // nothing was read or written
		}
	}()
	for range 100 + n {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", firstPort+rand.IntN(lastPort-firstPort)))
		if err != nil {
			continue // taken
		}
		listeners = append(listeners, l)
		if found = append(found, l.Addr().String()); len(found) == n {
			return found, nil
		}
	}
	return nil, fmt.Errorf("fewer than %d ports from %d to %d are free", n, firstPort, lastPort)
}
