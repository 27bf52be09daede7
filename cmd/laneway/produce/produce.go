// Package produce is the command laneway produce, which sends the lines of a file or
// of standard input as records.
//
// It reads lines, hands them to the client's producer, shows what that waits for, and
// says at the end which lines are in the log, also after an error or an interrupt.
// With a name it continues where the log ends. It has no retries, batches or ordering
// of its own: those are the client's.
package produce

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/alecthomas/kong"
	"github.com/dustin/go-humanize"
	"github.com/schollz/progressbar/v3"

	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/internal/telemetry"
	"laneway.dev/pkg/client"
	"laneway.dev/pkg/delivery"
	"laneway.dev/pkg/protocol"
)

// linger is how long a line waits for more lines before its batch is sent, if lines
// come slowly.
const linger = 50 * time.Millisecond

// Limits of the flags.
const (
	maxBatchBytes = 4 << 20
	maxInFlight   = delivery.Span
)

// Command is laneway produce.
type Command struct {
	Topic string `arg:"" help:"Name of the topic."`
	File  string `arg:"" optional:"" help:"The file to send; standard input if it is - or not given."`
	cli.ServerFlag
	Partition   int          `default:"-1" placeholder:"N" help:"Only to this partition; by default batch by batch to all in turn."`
	BatchBytes  cli.Size     `placeholder:"SIZE" help:"Size at which a batch is sent, at most 4MiB; by default 256KiB, or 1MiB with --compression, growing to at most 4MiB while answers are slow."`
	Compression string       `enum:"none,s2,zstd" default:"none" help:"How batches are compressed, both in transit and in the object store: none, s2 (fast) or zstd (smaller)."`
	Name        producerName `env:"LANEWAY_PRODUCER_NAME" placeholder:"NAME" help:"Name of the producer: what it has sent before to the same partition is skipped, so an interrupted run is finished by the same command. A topic has one instance of a name at a time, whatever the partition."`
	InFlight    cli.Number   `default:"5" help:"Batches of a partition that may be unanswered at once, at most 5."`
	Quiet       bool         `help:"Print neither progress nor a summary."`
	JSON        bool         `name:"json" help:"Print the summary as a JSON object to standard output."`
}

// Help implements kong.HelpProvider.
func (*Command) Help() string {
	return `Every line is a record. A line ends with a line feed, which is not sent; a carriage return is part of the line, and an empty line is a record. Text after the last line feed is a record too, unless --name is given. The summary at the end goes to standard error. If anything fails, it says how many lines are in the log for sure, and the exit code is not 0. What Laneway could not accept or answer in time is sent again, for up to two minutes, and is in the log once.

With --name, the lines that are in the log already are read but not sent again: run the same command again after an interrupt, and every line is in the log once. This needs the same input and one partition. A last line without a line feed is not sent, because it may still grow. A topic has one instance of a name at a time, whatever the partition: a second instance ends the first one, whose exit code is 3.

If nothing is acknowledged for a while, the command says what it waits for. After an interrupt it waits up to 10 seconds for answers to what was sent and says which lines are in the log; the exit code is 1 unless that is the whole input. A second signal ends it at once.

Examples:

    laneway produce orders < /etc/services

    laneway produce orders /etc/services --name services

    laneway produce orders /etc/services --json`
}

// Validate implements kong's check of a command.
func (c *Command) Validate() error {
	switch {
	case c.BatchBytes > maxBatchBytes:
		return fmt.Errorf("--batch-bytes is %d, allowed are 1 to %s", c.BatchBytes, humanize.IBytes(maxBatchBytes))
	case c.InFlight > maxInFlight:
		return fmt.Errorf("--in-flight is %d, allowed are 1 to %d", c.InFlight, maxInFlight)
	}
	return nil
}

// Run sends the lines.
func (c *Command) Run(a *cli.App) error {
	file, err := c.open(a)
	if err != nil {
		return err
	}
	laneway, err := c.Connect()
	if err != nil {
		return err
	}
	defer laneway.Close()
	tracing, err := telemetry.Setup(a.Ctx, "produce", telemetry.Instance())
	if err != nil {
		return err
	}
	log, err := telemetry.Logger("warn", "auto")
	if err != nil {
		return err
	}
	telemetry.RouteErrors(log)
	screen := &console{bar: c.progress(a, file), out: a.Stderr, quiet: c.Quiet}
	waits := &waiting{console: screen, offline: func() string {
		if laneway.Conn().IsReconnecting() {
			return cli.Redact(c.Server)
		}
		return ""
	}}
	producer, err := c.producer(a.Ctx, laneway, c.options(tracing, waits))
	if err != nil {
		return err
	}
	waits.progress = producer.Summary
	in := io.TeeReader(newInterruptible(a.Ctx, file), screen)
	stop := waits.start()
	result, err := c.send(a.Ctx, producer, c.lines(in, producer.Topic().MaxRecordBytes), waits)
	stop()
	screen.close()
	err = c.report(a, result, err)
	tracing.Flush(context.WithoutCancel(a.Ctx), log)
	return err
}

func (c *Command) options(tracing *telemetry.Telemetry, waits *waiting) client.ProducerOptions {
	options := client.ProducerOptions{
		Name: string(c.Name), BatchBytes: int(c.BatchBytes), MaxInFlight: int(c.InFlight), Linger: linger,
		Compression: protocol.Compression(c.Compression),
		OnRetry:     waits.retry, OnAck: waits.acked,
	}
	if c.Partition != cli.AllPartitions {
		options.Partition = new(int32(c.Partition))
	}
	if tracing.Tracing() {
		options.TracerProvider = tracing.Tracers
	}
	return options
}

// open opens the input. It stays open, because a read of it may still block at the
// end of the command, and the process ends soon after.
func (c *Command) open(a *cli.App) (io.Reader, error) {
	if c.File == "" || c.File == "-" {
		return a.Stdin, nil
	}
	file, err := os.Open(c.File)
	if err != nil {
		return nil, cli.Misuse("%w", err)
	}
	return file, nil
}

// progress returns a progress bar. It is visible only on a terminal, and not if the
// lines are typed on that terminal, where it would overwrite them.
func (c *Command) progress(a *cli.App, in io.Reader) *progressbar.ProgressBar {
	size := int64(-1)
	if file, ok := in.(*os.File); ok {
		if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
			size = info.Size()
		}
	}
	return progressbar.NewOptions64(size,
		progressbar.OptionSetWriter(a.Stderr),
		progressbar.OptionSetVisibility(!c.Quiet && cli.IsTerminal(a.Stderr) && !cli.IsTerminal(in)),
		progressbar.OptionShowBytes(true),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionSetDescription("reading"),
		progressbar.OptionClearOnFinish(),
	)
}

// producerName is the name of a producer; empty if none is given. Without a Decode of
// its own, kong would pass it through JSON, which replaces bytes that are not UTF-8.
type producerName string

// Decode implements kong.MapperValue.
func (n *producerName) Decode(ctx *kong.DecodeContext) error {
	given, err := cli.PopValue(ctx, "name")
	if err != nil {
		return err
	}
	if given == "" {
		return errors.New("it is empty: give the producer a name, or leave it out")
	}
	if err := protocol.CheckProducerName(given); err != nil {
		return errors.New(protocol.AsError(err).Detail)
	}
	*n = producerName(given)
	return nil
}
