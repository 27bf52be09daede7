package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/schollz/progressbar/v3"

	"laneway.dev/internal/telemetry"
	"laneway.dev/pkg/client"
	"laneway.dev/pkg/delivery"
	"laneway.dev/pkg/messages"
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
	serverFlag
	Partition  int    `default:"-1" placeholder:"N" help:"Only to this partition; by default batch by batch to all in turn."`
	BatchBytes size   `default:"256KiB" help:"Size at which a batch is sent, at most 4MiB."`
	Name       string `env:"LANEWAY_PRODUCER_NAME" placeholder:"NAME" help:"Name of the producer: what it has sent before to the same partition is skipped, so an interrupted run is finished by the same command."`
	InFlight   number `default:"5" help:"Batches of a partition that may be unanswered at once, at most 5."`
	Quiet      bool   `help:"Print neither progress nor a summary."`
	JSON       bool   `name:"json" help:"Print the summary as a JSON object to standard output."`
}

// Help implements kong.HelpProvider.
func (*produceCommand) Help() string {
	return `A line is what ends with a line feed, which is not sent; a carriage return is a part of the line, an empty line is a record. What follows the last line feed is a record too. The summary at the end goes to standard error. If anything fails, it says how many lines are in the log for sure, and the exit code is not 0. What Laneway could not take or answer in time is sent again, for up to two minutes, and is in the log once.

With --name, the lines that are in the log already are read but not sent again: run the same command again after it was
interrupted, and every line is in the log once. It needs the same input, and one partition. A second instance of the same
name fences the first one.

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
	case c.Name == "":
		return nil
	}
	if err := messages.CheckProducerName(c.Name); err != nil {
		return fmt.Errorf("--name: %s", messages.AsError(err).Detail)
	}
	return nil
}

// Run sends the lines.
func (c *produceCommand) Run(a *app) error {
	file, err := c.open(a)
	if err != nil {
		return err
	}
	laneway, err := c.connect()
	if err != nil {
		return err
	}
	defer laneway.Close()
	tracing, err := telemetry.Setup(a.ctx, "produce", instance())
	if err != nil {
		return err
	}
	log, err := telemetry.Logger("warn", "auto")
	if err != nil {
		return err
	}
	telemetry.RouteErrors(log)
	producer, err := c.producer(a.ctx, laneway, tracing)
	if err != nil {
		return err
	}
	progress := c.progress(a, file)
	in := io.TeeReader(newInterruptible(a.ctx, file), progress)
	result, err := c.send(a.ctx, producer, c.lines(in, producer.Topic().MaxRecordBytes))
	_ = progress.Clear()
	err = c.report(a, result, err)
	flush(context.WithoutCancel(a.ctx), tracing.Shutdown, log)
	return err
}

func (c *produceCommand) options(tracing *telemetry.Telemetry) client.ProducerOptions {
	options := client.ProducerOptions{
		Name: c.Name, BatchBytes: int(c.BatchBytes), MaxInFlight: int(c.InFlight), Linger: produceLinger,
	}
	if c.Partition != anyPartition {
		options.Partition = new(int32(c.Partition))
	}
	if tracing.Tracing() {
		options.TracerProvider = tracing.Tracers
	}
	return options
}

// open returns what is to be sent. The process ends soon after it was read, so
// nobody closes it.
func (c *produceCommand) open(a *app) (io.Reader, error) {
	if c.File == "" || c.File == "-" {
		return a.stdin, nil
	}
	file, err := os.Open(c.File)
	if err != nil {
		return nil, misuse("%w", err)
	}
	return file, nil
}

// progress is shown on a terminal only, and not while somebody types the lines there.
func (c *produceCommand) progress(a *app, in io.Reader) *progressbar.ProgressBar {
	size := int64(-1)
	if file, ok := in.(*os.File); ok {
		if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
			size = info.Size()
		}
	}
	return progressbar.NewOptions64(size,
		progressbar.OptionSetWriter(a.stderr),
		progressbar.OptionSetVisibility(!c.Quiet && isTerminal(a.stderr) && !isTerminal(in)),
		progressbar.OptionShowBytes(true),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionSetDescription("reading"),
		progressbar.OptionClearOnFinish(),
	)
}

// send hands every line to the producer that is not in the log, and waits for the
// answers. The summary tells how far it came, whatever fails.
func (c *produceCommand) send(ctx context.Context, producer *client.Producer, in *lineReader) (*summary, error) {
	begun, lines := time.Now(), int64(0)
	skipped, err := c.skip(in, int64(producer.NextSequence(int32(max(0, c.Partition)))))
	if err == nil {
		lines, err = publishLines(ctx, producer, in, nil)
	}
	wait := ctx
	if err != nil {
		// What was read before is on its way; its answers are worth a moment.
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastAnswers)
		defer cancel()
		wait = bounded
	}
	if closeErr := producer.Close(wait); err == nil {
		err = closeErr
	}
	result := summarize(c.Topic, lines, time.Since(begun), producer.Summary())
	result.Skipped = skipped
	return result, err
}

// publishLines hands lines to a producer until there are no more, and returns
// how many it took.
func publishLines(ctx context.Context, producer *client.Producer, in *lineReader, headers []messages.Header) (int64, error) {
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
func (c *produceCommand) report(a *app, s *summary, err error) error {
	if err != nil {
		s.Error = err.Error()
	}
	if c.JSON {
		if jsonErr := s.printJSON(a.stdout); jsonErr != nil {
			err = errors.Join(err, jsonErr)
		}
	} else if !c.Quiet && (err == nil || s.Records > 0) {
		s.print(a.stderr)
	}
	if err == nil {
		return nil
	}
	if failed, ok := errors.AsType[*client.ProduceError](err); ok {
		err = failed.Err // what it says of records is said of lines below
		// Else lines behind the first one that is missing are there, too.
		s.absent = failed.Absent && failed.FirstFailed+failed.Records == s.Lines
	} else if a.stopped(err) {
		err = errors.New("interrupted")
	}
	return fmt.Errorf("%w; %s", err, s.certainty())
}
