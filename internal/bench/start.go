package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// portTries is how often a measurement is begun with other ports when one that
// was free is taken before the server listens on it.
const portTries = 5

// StartError is a server that does not start.
type StartError struct {
	Server string // its name, such as nats-0
	Line   string // of its log, the one that tells most; may be empty
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

// endedError says that a server has ended by itself.
type endedError struct {
	process *process
}

func (e *endedError) Error() string {
	return "the process has ended: " + e.process.command.ProcessState.String()
}

// await returns when the process serves. That it does not is told of the process
// that has ended, if one has: the others may wait for it.
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

// complaint returns the last line of the log that tells of an error, or the
// last one of all.
func (p *process) complaint() string {
	content, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return complaint(string(content))
}

// complaint knows how NATS, the log and the command line of Laneway tell of errors.
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

// measure does the work once, with other ports if one is taken.
func (c *contender) measure(ctx context.Context, p *Plan) (round Round, err error) {
	for range portTries {
		if round, err = c.try(ctx, p); !errors.Is(err, syscall.EADDRINUSE) || ctx.Err() != nil {
			break
		}
	}
	return round, err
}
