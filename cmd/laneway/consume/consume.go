// Package consume is the command laneway consume, which prints the records of a topic,
// a line each or as JSON.
//
// It chooses where to start and how to print. It reads through the client, and never
// changes anything on the server.
package consume

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
)

// Command is laneway consume.
type Command struct {
	Topic string `arg:"" help:"Name of the topic."`
	cli.ServerFlag
	From        string     `default:"earliest" help:"Where to start: earliest, latest, an offset, or a time such as 2026-11-23T10:00:00Z. A number is always an offset."`
	Follow      bool       `help:"Wait for more at the end, until a signal."`
	Count       cli.Number `placeholder:"N" help:"Stop after N records, and wait until there are that many."`
	SkipCorrupt bool       `help:"Name the records that cannot be read on standard error, and continue after them. Otherwise they end the command once the other partitions are printed."`
	Partition   int        `default:"-1" placeholder:"N" help:"Only this partition; by default all, each in its own order."`
	JSON        bool       `name:"json" help:"Print a JSON object per line: topic, partition, offset, time, headers and value; those that are not UTF-8 in headers_base64 and value_base64."`
}

// Help implements kong.HelpProvider.
func (*Command) Help() string {
	return `Without --follow or --count the command ends at the end of the topic. It names on standard error the offsets that hold no records, because the owner of the log crashed or a loss was accepted, and those whose records were deleted before they were read. If a partition cannot be read, it prints the other partitions to their ends and then fails.

Examples:

    laneway consume orders --from earliest > copy.log

    laneway consume orders --from latest --follow --json`
}

// heapBallast is memory that is allocated but never touched, so that it takes no pages. The garbage
// collector starts when the heap has doubled. Nearly all of the memory of this command are
// messages that are printed once, so its heap is small, and without the ballast the collector
// would run a hundred times for each gigabyte. It adds as much as this to the memory of the command.
const heapBallast = 64 << 20

// Run prints records until the end, the count or a signal.
func (c *Command) Run(a *cli.App) error {
	from, err := parseStart(c.From)
	if err != nil {
		return err
	}
	laneway, err := c.Connect()
	if err != nil {
		return err
	}
	defer laneway.Close()
	ctx, cancel := context.WithCancel(a.Ctx)
	defer cancel()
	records, err := c.records(ctx, laneway, from, func(g client.Gap) {
		// An error of this write is ignored: there is no other place to report it.
		_ = cli.Say(a.Stderr, "laneway: %s\n", g)
	})
	if err == nil {
		ballast := make([]byte, heapBallast)
		err = c.print(a, records)
		runtime.KeepAlive(ballast)
	}
	switch {
	case errors.Is(err, protocol.NewError(protocol.CodeOffsetOutOfRange, "")):
		return from.orTime(err)
	case a.Stopped(err):
		return nil // a signal is the usual end of --follow
	case errors.Is(err, syscall.EPIPE):
		return nil // the reader, such as head, has read what it wanted
	}
	return err
}

func (c *Command) records(ctx context.Context, laneway *client.Client, from start, gap func(client.Gap)) (iter.Seq2[client.Record, error], error) {
	options := client.ConsumerOptions{
		Topic: c.Topic, From: from.from, Offset: from.offset, Time: from.time,
		Follow: c.Follow || c.Count > 0, MaxRecords: int64(c.Count), SkipCorrupt: c.SkipCorrupt, OnGap: gap,
	}
	if c.Partition != cli.AllPartitions {
		options.Partition = new(int32(c.Partition))
		return laneway.Consumer(options).Records(ctx), nil
	}
	topic, _, err := laneway.Admin().TopicInfo(ctx, c.Topic)
	switch {
	case err != nil:
		return nil, err
	case topic.Partitions > 1 && from.offset != nil:
		return nil, from.orTime(cli.Misuse("an offset means something else in each of the %d partitions of %s: give --partition too", topic.Partitions, c.Topic))
	}
	return laneway.Consumer(options).Records(ctx), nil
}

func (c *Command) print(a *cli.App, records iter.Seq2[client.Record, error]) (err error) {
	format := cli.PrintLine
	if c.JSON {
		format = cli.PrintJSON
	}
	out := cli.NewPrinter(a.Stdout, format)
	defer func() {
		if closeErr := out.Close(); err == nil && closeErr != nil {
			err = fmt.Errorf("writing: %w", closeErr)
		}
	}()
	for record, err := range records {
		if err != nil {
			return err
		}
		if err := out.Print(&record); err != nil {
			return fmt.Errorf("writing: %w", err)
		}
	}
	return nil
}

// start is where to start reading. Exactly one of the fields is set.
type start struct {
	from   string
	offset *int64
	time   *time.Time
}

// parseStart parses the value of --from.
func parseStart(value string) (start, error) {
	if value == protocol.FromEarliest || value == protocol.FromLatest {
		return start{from: value}, nil
	}
	if offset, err := strconv.ParseInt(value, 10, 64); err == nil && offset >= 0 {
		return start{offset: &offset}, nil
	}
	if moment, err := time.Parse(time.RFC3339Nano, value); err == nil {
		return start{time: &moment}, nil
	}
	return start{}, cli.Misuse("--from %q is none of earliest, latest, an offset such as 42, and a time such as 2026-11-23T10:00:00Z", value)
}

// asTime returns the time that the user may have meant by an offset. A number looks like
// a Unix time in seconds, milliseconds, microseconds or nanoseconds if that time is
// between 2001 and 2286.
func asTime(offset int64) (time.Time, bool) {
	for unit := int64(time.Second); unit > 0; unit /= 1000 {
		if perSecond := int64(time.Second) / unit; offset >= 1e9*perSecond && offset/perSecond < 1e10 {
			return time.Unix(offset/perSecond, offset%perSecond*unit).UTC(), true
		}
	}
	return time.Time{}, false
}

// orTime adds to the error of an offset that looks like a time how to write that time.
func (s start) orTime(err error) error {
	if s.offset == nil || err == nil {
		return err
	}
	moment, looks := asTime(*s.offset)
	if !looks {
		return err
	}
	return cli.Advise(err, fmt.Sprintf("--from %d is an offset; for the time write: --from %s", *s.offset, moment.Format(time.RFC3339Nano)))
}
