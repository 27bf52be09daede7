// Command laneway is all of Laneway in one binary: the services, each alone or
// all in one process together with NATS, and the commands that create topics,
// produce and consume.
//
// This package has the command tree and nothing else. Each command is a package
// in the folder of its name; what they share is in cli.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	_ "golang.org/x/crypto/x509roots/fallback" // the image has no certificates of authorities

	"laneway.dev/cmd/laneway/cli"
)

func main() {
	ctx, restore := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal restores the default handling, so the second one ends the
	// process at once.
	context.AfterFunc(ctx, restore)
	// Without this a closed pipe, as of head, would kill the process. A write to it
	// then returns EPIPE, which the commands handle.
	signal.Ignore(syscall.SIGPIPE)
	os.Exit(run(&cli.App{Ctx: ctx, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}, os.Args[1:]))
}

// run runs the command that the arguments name and returns its exit code.
func run(a *cli.App, args []string) int {
	return cli.Run(a, &commandLine{}, args, options()...)
}
