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
	// pollInterval is the interval of checks for readiness, for which there is no event.
	pollInterval = 10 * time.Millisecond
)

// process is a server of a measurement, which may be restarted. It belongs to one
// goroutine.
type process struct {
	name  string
	args  []string
	log   string // file of its output
	ready func(context.Context) error

	command *exec.Cmd
	done    chan struct{} // closed when it has ended
}

// start starts the process. It is not ready yet when start returns.
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
		_ = p.command.Wait() // ProcessState has the result
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

// signal sends a signal. It is no error if the process has ended already.
func (p *process) signal(s syscall.Signal) error {
	if err := p.command.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal %s: %w", p.name, err)
	}
	return nil
}

// eventually calls the condition until it returns nil or ctx ends, and then returns its last
// error. It returns at once if a process has ended.
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

// environment returns the environment of this process without the variables that would
// change how a server runs.
func environment() []string {
	return slices.DeleteFunc(os.Environ(), func(variable string) bool {
		return slices.ContainsFunc([]string{"LANEWAY_", "NATS_", "OTEL_"}, func(prefix string) bool {
			return strings.HasPrefix(variable, prefix)
		})
	})
}

// Ports are below the range from which the kernel takes ports for outgoing connections. A
// server that is restarted needs its ports again, and must not find one taken meanwhile.
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

// StartError is the error of a server that does not start.
type StartError struct {
	Server string // its name, such as nats-0
	Line   string // the line of its log that reports the error; may be empty
	err    error
}

func (e *StartError) Error() string {
	text := fmt.Sprintf("%s does not start: %v", e.Server, e.err)
	if e.Line != "" {
		text += ": " + e.Line
	}
	return text
}

// Unwrap returns also syscall.EADDRINUSE if the log says so.
func (e *StartError) Unwrap() []error {
	if strings.Contains(e.Line, syscall.EADDRINUSE.Error()) {
		return []error{e.err, syscall.EADDRINUSE}
	}
	return []error{e.err}
}

// endedError is the error of a server that has ended by itself.
type endedError struct {
	process *process
}

func (e *endedError) Error() string {
	return "the process has ended: " + e.process.command.ProcessState.String()
}

// await returns when the process is ready. If a process has ended, the error is about that
// one, because the others may only be waiting for it.
func (s *servers) await(ctx context.Context, p *process) error {
	err := eventually(ctx, func(ctx context.Context) error {
		for _, each := range s.processes {
			if each.ended() {
				return &endedError{each}
			}
		}
		return p.ready(ctx)
	})
	if err == nil || errors.Is(context.Cause(ctx), context.Canceled) {
		return err
	}
	if gone, ok := errors.AsType[*endedError](err); ok {
		p = gone.process
	}
	return &StartError{Server: p.name, Line: p.complaint(), err: err}
}

// complaint returns the last line of the log that reports an error, or else the last line.
func (p *process) complaint() string {
	content, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return complaint(string(content))
}

// complaint recognizes the errors of NATS, of Laneway's log and of its command line.
func complaint(log string) string {
	const most = 400
	last, found := "", ""
	for line := range strings.Lines(log) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		last = line
		for _, mark := range []string{"[FTL]", "[ERR]", `{"level":"fatal"`, `{"level":"error"`, "laneway: "} {
			if at := strings.Index(line, mark); at >= 0 {
				found = line[at:]
				break
			}
		}
	}
	if found == "" {
		found = last
	}
	return strings.ToValidUTF8(found[:min(len(found), most)], "")
}
