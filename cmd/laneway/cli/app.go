// Package cli is what the commands of laneway share. It parses command lines,
// environment variables and the configuration file, runs the command that was
// given, explains its error, and chooses the exit code. For the commands it has
// the types of flag values, the connection to a running Laneway, and helpers
// for output.
//
// It knows no command: the command tree is in cmd/laneway, and each command is
// a package beside this one. It never ends the process, and never reads or
// writes the standard streams of the process but through App.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/alecthomas/kong"
)

// App is the environment in which a command runs. It is the argument of every
// command's Run method.
type App struct {
	Ctx    context.Context // canceled by the first signal
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
}

// Stopped reports whether err is only the consequence of the first signal.
func (a *App) Stopped(err error) bool {
	return a.Ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.Cause(a.Ctx)))
}

// Run parses args by the grammar, which is a pointer to a struct with kong's
// tags, runs the command that they name, and returns the exit code. It explains
// an error on a.Stderr. Without arguments it prints the help.
func Run(a *App, grammar any, args []string, options ...kong.Option) int {
	err := dispatch(a, grammar, args, options)
	explain(a.Stderr, err)
	return ExitCode(err)
}

// errHelp ends the parsing after --help was printed.
var errHelp = errors.New("help was printed")

func dispatch(a *App, grammar any, args []string, options []kong.Option) (err error) {
	// Kong prints the help while it parses and then calls its exit function,
	// which must not return.
	defer func() {
		if r := recover(); r == errHelp { //nolint:errorlint // the very value that was thrown
			err = nil
		} else if r != nil {
			panic(r)
		}
	}()
	parser, err := NewParser(a, grammar, options...)
	if err != nil {
		return err
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	command, err := parser.Parse(args)
	// A variable with a wrong name may be the cause of a flag that is missing, so
	// it is reported first.
	if err := checkVariables(parser.Model, os.Environ()); err != nil {
		return err
	}
	if err != nil {
		return usageFrom(err)
	}
	return blameVariables(command, command.Run(a))
}

// NewParser returns the parser of a grammar. Every flag can be set by a variable
// of the environment and by the configuration file as well.
func NewParser(a *App, grammar any, options ...kong.Option) (*kong.Kong, error) {
	config, err := configOption()
	if err != nil {
		return nil, err
	}
	parser, err := kong.New(grammar, append([]kong.Option{
		kong.Name("laneway"),
		kong.Writers(a.Stdout, a.Stderr),
		kong.Exit(func(int) { panic(errHelp) }),
		kong.DefaultEnvars(envPrefix),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		config,
	}, options...)...)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	return parser, nil
}

// usageFrom returns a usage error that points to the help of the command that
// was given.
func usageFrom(err error) error {
	help := "laneway --help"
	if parse, ok := errors.AsType[*kong.ParseError](err); ok && parse.Context != nil {
		if node := parse.Context.Selected(); node != nil {
			help = node.FullPath() + " --help"
		}
		err = blameVariables(parse.Context, err)
	}
	return UsageError(err, help)
}
