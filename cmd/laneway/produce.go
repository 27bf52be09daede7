package main

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

// lastAnswers bounds the wait for what is in flight when produce is interrupted
// or its input cannot be read on.
const lastAnswers = 10 * time.Second

// produceLinger is how long a line waits for others, if they come slowly.
const produceLinger = 50 * time.Millisecond

// What the flags of produce allow.
const (
	maxBatchBytes = 4 << 20
	maxInFlight   = delivery.Span
)

type produceCommand struct {
	Topic string `arg:"" help:"Name of the topic."`
	File  string `arg:"" optional:"" help:"The file to send; standard input if it is - or not given."`
	cli.ServerFlag
	Partition  int          `default:"-1" placeholder:"N" help:"Only to this partition; by default batch by batch to all in turn."`
	BatchBytes cli.Size     `default:"256KiB" help:"Size at which a batch is sent, at most 4MiB."`
	Name       producerName `env:"LANEWAY_PRODUCER_NAME" placeholder:"NAME" help:"Name of the producer: what it has sent before to the same partition is skipped, so an interrupted run is finished by the same command. A topic has one instance of a name at a time, whatever the partition."`
	InFlight   cli.Number   `default:"5" help:"Batches of a partition that may be unanswered at once, at most 5."`
	Quiet      bool         `help:"Print neither progress nor a summary."`
	JSON       bool         `name:"json" help:"Print the summary as a JSON object to standard output."`
}

// Help implements kong.HelpProvider.
func (*produceCommand) Help() string {
	return `A line is what ends with a line feed, which is not sent; a carriage return is a part of the line, an empty line is a record. What follows the last line feed is a record too, without --name. The summary at the end goes to standard error. If anything fails, it says how many lines are in the log for sure, and the exit code is not 0. What Laneway could not take or answer in time is sent again, for up to two minutes, and is in the log once.

With --name, the lines that are in the log already are read but not sent again: run the same command again after it was
interrupted, and every line is in the log once. It needs the same input, and one partition. A last line without a line feed is not
sent: it may still grow. A name has one instance at a time in a topic, whatever the partition: a second one ends the first
one, whose exit code is 3.

It says what it waits for when nothing is acknowledged for a while. Interrupted, it waits up to 10 seconds for answers to
what was sent, says which lines are in the log, and the exit code is 1 unless the whole input is; a second signal ends it at once.

Examples:

    laneway produce orders < /etc/services

    laneway produce orders /etc/services --name services

    laneway produce orders /etc/services --json`
}

// Validate implements kong's check of a command.
func (c *produceCommand) Validate() error {
	switch {
	case c.BatchBytes > maxBatchBytes:
		return fmt.Errorf("--batch-bytes is %d, allowed are 1 to %s", c.BatchBytes, humanize.IBytes(maxBatchBytes))
	case c.InFlight > maxInFlight:
		return fmt.Errorf("--in-flight is %d, allowed are 1 to %d", c.InFlight, maxInFlight)
	}
	return nil
}

// Run sends the lines.
func (c *produceCommand) Run(a *cli.App) error {
	file, err := c.open(a)
	if err != nil {
		return err
	}
	laneway, err := c.Connect()
	if err != nil {
		return err
	}
	defer laneway.Close()
	tracing, err := telemetry.Setup(a.Ctx, "produce", instance())
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
	flush(context.WithoutCancel(a.Ctx), tracing.Shutdown, log)
	return err
}

func (c *produceCommand) options(tracing *telemetry.Telemetry, waits *waiting) client.ProducerOptions {
	options := client.ProducerOptions{
		Name: string(c.Name), BatchBytes: int(c.BatchBytes), MaxInFlight: int(c.InFlight), Linger: produceLinger,
		OnRetry: waits.retry, OnAck: waits.acked,
	}
	if c.Partition != cli.AllPartitions {
		options.Partition = new(int32(c.Partition))
	}
	if tracing.Tracing() {
		options.TracerProvider = tracing.Tracers
	}
	return options
}

// open returns what is to be sent. The process ends soon after it was read, so
// nobody closes it.
func (c *produceCommand) open(a *cli.App) (io.Reader, error) {
	if c.File == "" || c.File == "-" {
		return a.Stdin, nil
	}
	file, err := os.Open(c.File)
	if err != nil {
		return nil, cli.Misuse("%w", err)
	}
	return file, nil
}

// progress is shown on a terminal only, and not while somebody types the lines there.
func (c *produceCommand) progress(a *cli.App, in io.Reader) *progressbar.ProgressBar {
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

// send hands every line to the producer that is not in the log, and waits for the
// answers. The summary tells how far it came, whatever fails.
func (c *produceCommand) send(ctx context.Context, producer *client.Producer, in *lineReader, waits *waiting) (*summary, error) {
	begun, lines := time.Now(), int64(0)
	skipped, err := c.skip(in, int64(producer.NextSequence(int32(max(0, c.Partition)))))
	if err == nil {
		lines, err = publishLines(ctx, producer, in, nil)
	}
	// What was read is on its way; its answers are worth a moment whatever happens.
	wait, cancel := waits.patience(ctx, err != nil)
	defer cancel()
	if closeErr := producer.Close(wait); err == nil {
		err = closeErr
	}
	result := summarize(c.Topic, lines, time.Since(begun), producer.Summary())
	result.Skipped, result.Unfinished = skipped, in.unfinished
	return result, err
}

// publishLines hands lines to a producer until there are no more, and returns
// how many it took.
func publishLines(ctx context.Context, producer *client.Producer, in *lineReader, headers []protocol.Header) (int64, error) {
	for lines := int64(0); ; lines++ {
		line, err := in.next()
		if errors.Is(err, io.EOF) {
			return lines, nil
		}
		if err != nil {
			return lines, err
		}
		if _, err := producer.Publish(ctx, client.ProducerRecord{Headers: headers, Value: line}); err != nil {
			return lines, err
		}
	}
}

// report prints the summary and returns the error with what is certain.
func (c *produceCommand) report(a *cli.App, s *summary, err error) error {
	if err != nil {
		s.Error = err.Error()
	}
	if s.Unfinished {
		_, _ = fmt.Fprintln(a.Stderr, "laneway: the last line has no line feed yet, and is not sent")
	}
	if c.JSON {
		if jsonErr := s.printJSON(a.Stdout); jsonErr != nil {
			err = errors.Join(err, jsonErr)
		}
	} else if !c.Quiet && (err == nil || s.Records > 0) {
		s.print(a.Stderr)
	}
	if err == nil {
		return nil
	}
	if failed, ok := errors.AsType[*client.ProduceError](err); ok {
		err = failed.Err // what it says of records is said of lines below
		// Else lines behind the first one that is missing are there, too.
		s.absent = failed.Absent && failed.FirstFailed+failed.Records == s.Lines
	} else if a.Stopped(err) {
		err = errors.New("interrupted")
	}
	return fmt.Errorf("%w; %s", err, s.certainty())
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
