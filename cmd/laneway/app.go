package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/alecthomas/kong"
	"golang.org/x/term"
)

// app is what every command gets of the world outside.
type app struct {
	ctx    context.Context // ends with the first signal
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
}

// stopped says whether err is nothing but the first signal at work.
func (a *app) stopped(err error) bool {
	return a.ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.Cause(a.ctx)))
}

// isTerminal says whether a person looks at w.
func isTerminal(w any) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// run does what the arguments say and returns the exit code.
func run(a *app, args []string) int {
	err := dispatch(a, args)
	explain(a.stderr, err)
	return exitCode(err)
}

// errHelp says that --help was printed, which is all that was asked for.
var errHelp = errors.New("help was printed")

func dispatch(a *app, args []string) (err error) {
	// Kong prints the help and calls exit in the middle of its parsing.
	defer func() {
		if r := recover(); r == errHelp { //nolint:errorlint // the very value that was thrown
			err = nil
		} else if r != nil {
			panic(r)
		}
	}()
	parser, err := newParser(a)
	if err != nil {
		return err
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	command, err := parser.Parse(args)
	// First what may be the cause of the other: a flag that is missing.
	if err := checkVariables(parser.Model, os.Environ()); err != nil {
		return err
	}
	if err != nil {
		return usageFrom(err)
	}
	return blameVariables(command, command.Run(a))
}

// usageFrom points to the help of the command that was meant.
func usageFrom(err error) error {
	help := "laneway --help"
	if parse, ok := errors.AsType[*kong.ParseError](err); ok && parse.Context != nil {
		if node := parse.Context.Selected(); node != nil {
			help = node.FullPath() + " --help"
		}
		err = blameVariables(parse.Context, err)
	}
	return &usageError{err: err, help: help}
}

// usageError is a command line, variable or configuration file that makes no sense.
type usageError struct {
	err  error
	help string // the command that explains; may be empty
}

func (e *usageError) Error() string { return e.err.Error() }

func (e *usageError) Unwrap() error { return e.err }

// misuse returns a usage error.
func misuse(format string, arguments ...any) error {
	return &usageError{err: fmt.Errorf(format, arguments...)}
}
