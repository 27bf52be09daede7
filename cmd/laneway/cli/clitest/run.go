// Package clitest runs commands in the process of a test. A command that needs a
// server talks to a fake Laneway, and the test chooses the answers.
//
// It is for tests only. It starts no service of Laneway.
package clitest

import (
	"strings"
	"testing"

	"laneway.dev/cmd/laneway/cli"
)

// App returns the environment of a command that reads nothing, and what the
// command prints.
func App(t *testing.T) (a *cli.App, stdout, stderr *strings.Builder) {
	t.Helper()
	stdout, stderr = &strings.Builder{}, &strings.Builder{}
	return &cli.App{Ctx: t.Context(), Stdin: strings.NewReader(""), Stdout: stdout, Stderr: stderr}, stdout, stderr
}

// Run runs a command of a grammar, which is a pointer to a struct as of cli.Run.
func Run(t *testing.T, grammar any, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	a, out, errs := App(t)
	code = cli.Run(a, grammar, args)
	return code, out.String(), errs.String()
}

// Parse parses args by a grammar, into which it writes the values of the flags.
func Parse(t *testing.T, grammar any, args ...string) error {
	t.Helper()
	a, _, _ := App(t)
	parser, err := cli.NewParser(a, grammar)
	if err != nil {
		return err
	}
	_, err = parser.Parse(args)
	return err
}
