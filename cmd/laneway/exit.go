package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"

	"laneway.dev/internal/embedded"
	"laneway.dev/internal/ownership"
	"laneway.dev/internal/storeid"
	"laneway.dev/pkg/protocol"
)

// Exit codes. The help of laneway lists them; a process that is ended by a
// second signal has the code that the shell gives it, 128 and the signal.
const (
	exitDone     = 0 // done, or stopped cleanly by a signal that is meant to end it
	exitFailed   = 1 // failed, at the start or later, or interrupted before all was done
	exitUsage    = 2 // the command line, a variable or the configuration file makes no sense
	exitReplaced = 3 // a younger instance of the service, or of a named producer, has taken over
	exitLocked   = 4 // another process uses the data folder
	exitPort     = 5 // another process listens on the port
	exitStore    = 6 // the object store is not that of this Laneway
)

const exitCodes = `Exit codes: 0 done, also services and consume when a signal stops them, 1 failed or interrupted,
2 wrong usage, 3 replaced by a younger instance, 4 the data folder is in use, 5 a port is in use,
6 the object store is not that of this Laneway.`

func exitCode(err error) int {
	_, isUsage := errors.AsType[*usageError](err)
	_, isStore := errors.AsType[*storeid.RefusedError](err)
	switch {
	case err == nil:
		return exitDone
	case isUsage:
		return exitUsage
	case errors.Is(err, ownership.ErrReplaced), errors.Is(err, protocol.NewError(protocol.CodeInvalidEpoch, "")):
		return exitReplaced
	case errors.Is(err, embedded.ErrLocked):
		return exitLocked
	case errors.Is(err, syscall.EADDRINUSE):
		return exitPort
	case isStore:
		return exitStore
	default:
		return exitFailed
	}
}

// advised is an error with what to do about it.
type advised struct {
	err    error
	advice string
}

func (e *advised) Error() string { return e.err.Error() }

func (e *advised) Unwrap() error { return e.err }

// explain tells a person what happened, what it means, and what to do. If
// that cannot be written there is nobody to tell.
func explain(w io.Writer, err error) {
	if err == nil {
		return
	}
	_, _ = fmt.Fprintf(w, "laneway: %v\n", err)
	if advice := adviceFor(err); advice != "" {
		_, _ = fmt.Fprintf(w, "what to do: %s\n", advice)
	}
}

func adviceFor(err error) string {
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
	if e, ok := errors.AsType[*protocol.Error](err); ok {
		return action(e)
	}
	return ""
}

// action is the one of the catalogue, but for a topic that is there again.
func action(e *protocol.Error) string {
	if e.Code == protocol.CodeUnknownTopic && strings.HasSuffix(e.Detail, " made again") {
		return "send all of it again if it belongs into the new topic"
	}
	return e.Code.Kind().Action
}
