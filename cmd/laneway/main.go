// Command laneway is all of Laneway in one binary: the services, alone or
// together with NATS in one process, and the commands with which people create
// topics, produce and consume.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, restore := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal finds the default handling: it ends the process at once.
	context.AfterFunc(ctx, restore)
	// A reader that goes away, such as head, is an error of the write and not the end of the process.
	signal.Ignore(syscall.SIGPIPE)
	os.Exit(run(&app{ctx: ctx, stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}, os.Args[1:]))
}
