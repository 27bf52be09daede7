package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"

	"laneway.dev/internal/embedded"
	"laneway.dev/internal/ownership"
	"laneway.dev/internal/partitionlog"
	"laneway.dev/internal/storeid"
	"laneway.dev/pkg/protocol"
)

// Exit codes, which ExitCodes documents. A process that a second signal ends has
// the code that the shell gives it, 128 plus the number of the signal.
const (
	ExitDone     = 0 // success, or a clean stop by a signal that is meant to end the command
	ExitFailed   = 1 // failed, at the start or later, or interrupted before all was done
	ExitUsage    = 2 // the command line, a variable or the configuration file is wrong
	ExitReplaced = 3 // a younger instance of the service, or of a named producer, has taken over
	ExitLocked   = 4 // another process uses the data folder
	ExitPort     = 5 // another process listens on the port
	ExitStore    = 6 // the object store is not that of this Laneway
)

// ExitCodes describes the exit codes in the help of laneway.
const ExitCodes = `Exit codes: 0 done, also services and consume when a signal stops them, 1 failed or interrupted,
2 wrong usage, 3 replaced by a younger instance, 4 the data folder is in use, 5 a port is in use,
6 the object store is not that of this Laneway.`

// ExitCode returns the exit code for the error of a command.
func ExitCode(err error) int {
	_, isUsage := errors.AsType[*usageError](err)
	_, isStore := errors.AsType[*storeid.RefusedError](err)
	switch {
	case err == nil:
		return ExitDone
	case isUsage:
		return ExitUsage
	case errors.Is(err, ownership.ErrReplaced), errors.Is(err, protocol.NewError(protocol.CodeInvalidEpoch, "")):
		return ExitReplaced
	case errors.Is(err, embedded.ErrLocked):
		return ExitLocked
	case errors.Is(err, syscall.EADDRINUSE):
		return ExitPort
	case isStore:
		return ExitStore
	default:
		return ExitFailed
	}
}

// usageError is a command line, variable or configuration file that is wrong.
type usageError struct {
	err  error
	help string
}

func (e *usageError) Error() string { return e.err.Error() }

func (e *usageError) Unwrap() error { return e.err }

// UsageError returns err as a usage error, which has the exit code 2. Help is the
// command that explains the usage, such as "laneway serve --help"; it may be empty.
func UsageError(err error, help string) error { return &usageError{err: err, help: help} }

// Misuse returns a usage error without a command that explains the usage. Its
// message is formatted as by fmt.Errorf.
func Misuse(format string, arguments ...any) error {
	return UsageError(fmt.Errorf(format, arguments...), "")
}

// advised is an error with advice for the operator.
type advised struct {
	err    error
	advice string
}

func (e *advised) Error() string { return e.err.Error() }

func (e *advised) Unwrap() error { return e.err }

// Advise returns err with advice, which is printed in place of the advice that
// the catalogue of errors has. Err must not be nil.
func Advise(err error, advice string) error { return &advised{err: err, advice: advice} }

// explain prints what happened, and what to do about it. An error of that write
// is ignored, because there is no other place to report it; the exit code stays.
func explain(w io.Writer, err error) {
	if err == nil {
		return
	}
	_, _ = fmt.Fprintf(w, "laneway: %v\n", err)
	if advice := Advice(err); advice != "" {
		_, _ = fmt.Fprintf(w, "what to do: %s\n", advice)
	}
}

// Advice returns what the operator can do about an error; empty if that is not
// known.
func Advice(err error) string {
	if e, ok := errors.AsType[*advised](err); ok {
		return e.advice
	}
	if e, ok := errors.AsType[*usageError](err); ok {
		if e.help == "" {
			return ""
		}
		return "see " + e.help
	}
	if e, ok := errors.AsType[*storeid.RefusedError](err); ok {
		return e.Advice
	}
	if errors.Is(err, partitionlog.ErrOlder) {
		return "read the records with the version that wrote them, and start this one with another NATS account or an empty data folder"
	}
	if e, ok := errors.AsType[*protocol.Error](err); ok {
		return action(e)
	}
	return ""
}

// action returns the advice of the catalogue. For a topic that was deleted and
// created again the catalogue's advice, to create the topic, would be wrong.
func action(e *protocol.Error) string {
	if e.Code == protocol.CodeUnknownTopic && strings.HasSuffix(e.Detail, " made again") {
		return "send all of it again if it belongs into the new topic"
	}
	return e.Code.Kind().Action
}
