// Package demo is the command laneway demo, which shows that order survives slow and
// out-of-order staging: it sends a file through all services of Laneway in this process,
// reads it back and compares.
//
// It runs the code of laneway serve and laneway produce. It never touches a Laneway that
// runs already, and leaves nothing behind.
package demo

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/alecthomas/kong"
	"github.com/dustin/go-humanize"
	"github.com/nats-io/nats.go"
	"golang.org/x/sync/errgroup"

	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/cmd/laneway/process"
	"laneway.dev/cmd/laneway/produce"
	"laneway.dev/cmd/laneway/serve"
	"laneway.dev/internal/telemetry"
	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/sequencer"
)

const (
	topicName = "demo"
	producers = 4
	// Small batches and objects make many uploads that overtake each other.
	batchBytes  = 16 << 10
	objectBytes = 32 << 10
	uploads     = 64
	// timeout bounds everything but the stop.
	timeout = 50 * time.Second
	// partHeader names the part of the file that a record belongs to.
	partHeader = "Demo-Part"
)

// Command is laneway demo.
type Command struct {
	File     string `placeholder:"PATH" help:"The file to send; by default about 8 MB of Go source or other text that is found on this machine."`
	S3Server string `name:"s3-server" placeholder:"PATH" help:"Store the objects in an S3 server instead of a folder: the program versitygw, which the demo starts and stops."`
}

// Help implements kong.HelpProvider.
func (*Command) Help() string {
	return `Starts NATS and the five services in this process on a free port, with data in a temporary folder and every upload delayed by 0 to 200 ms at random. Four producers send a quarter of the file each, at the same time and to the same partition. The demo reads all records back, puts the file together and compares it with the original.

Examples:

    laneway demo --file /etc/services

    laneway demo --s3-server bin/versitygw`
}

// Run runs the demo. It returns an error if Laneway does not keep a promise.
func (c *Command) Run(a *cli.App) (err error) {
	ctx, cancel := context.WithTimeoutCause(a.Ctx, timeout, errors.New("the demo took too long"))
	defer cancel()
	input, err := findInput(ctx, c.File)
	if err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "laneway-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	log, err := telemetry.Logger("error", "auto")
	if err != nil {
		return err
	}
	p := process.New(log)
	d := demo{app: a, input: input}
	err = d.start(ctx, p, folder, c.S3Server)
	if err == nil {
		err = d.run(ctx)
	}
	if a.Stopped(err) {
		err = errors.New("interrupted")
	} else if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	return errors.Join(err, p.Shutdown(10*time.Second))
}

// demo is one run of the demo. It belongs to the goroutine of the command.
type demo struct {
	app       *cli.App
	input     input
	conn      *nats.Conn
	laneway   *client.Client
	sequencer *sequencer.Service
}

// start starts what laneway serve starts, and connects to it. If s3 is not empty, it is the binary
// of an S3 server, which is started first.
func (d *demo) start(ctx context.Context, p *process.Process, folder, s3 string) error {
	command, err := serveCommand(folder)
	if err != nil {
		return err
	}
	stored := "in the folder " + filepath.Join(folder, "objects")
	if s3 != "" {
		server, err := startS3(ctx, s3, folder)
		if err != nil {
			return err
		}
		p.OnStop("the S3 server", func(context.Context) error { return server.stop() })
		command.Store = server.location()
		stored = fmt.Sprintf("in the S3 server %s, at %s", s3, command.Store)
	}
	server, services, err := command.Start(ctx, p, nil)
	if err != nil {
		return err
	}
	if d.conn, err = server.Connect(nats.Name("laneway-demo")); err != nil {
		return err
	}
	p.OnStop("the connection", func(context.Context) error { d.conn.Close(); return nil })
	d.laneway = client.New(d.conn)
	d.sequencer, _ = services.Service(process.Sequencer).(*sequencer.Service)
	d.say("server", "NATS and five services in this process, data in %s, each upload delayed by 0 to 200 ms", folder)
	d.say("store", "%s", stored)
	return nil
}

// serveCommand returns laneway serve with the flags of the demo. Variables of the
// environment are meant for a real Laneway and are ignored.
func serveCommand(folder string) (*serve.Command, error) {
	var c serve.Command
	if err := kong.ApplyDefaults(&c); err != nil {
		return nil, err
	}
	c.Listen, c.HTTP, c.Data = "127.0.0.1:0", "", folder
	c.Fault = []string{"stage.delay=uniform(0,200ms)"}
	c.ObjectBytes, c.Uploads = objectBytes, uploads
	return &c, nil
}

func (d *demo) run(ctx context.Context) error {
	want := sha256.Sum256(d.input.data)
	d.say("input", "%s: %s, SHA-256 %x", d.input.name, humanize.Bytes(uint64(len(d.input.data))), want[:8])
	topic, err := d.laneway.Admin().CreateTopic(ctx, protocol.TopicConfig{Name: topicName, MaxRecordBytes: protocol.MaxRecordBytesLimit})
	if err != nil {
		return err
	}
	batches, err := d.produce(ctx)
	if err != nil {
		return err
	}
	if err := d.checkOrder(ctx, topic, batches); err != nil {
		return err
	}
	return d.consume(ctx)
}

// produce sends all parts at the same time and returns the number of batches.
func (d *demo) produce(ctx context.Context) (int64, error) {
	started := time.Now()
	parts := d.input.parts(producers)
	sent := make([]client.Summary, len(parts))
	group, ctx := errgroup.WithContext(ctx)
	for i, part := range parts {
		group.Go(func() (err error) {
			sent[i], err = d.produceOne(ctx, i, part)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return 0, err
	}
	var records, batches int64
	for i := range sent {
		records += sent[i].AckedRecords
		batches += sent[i].AckedBatches
	}
	d.say("produced", "%s records in %d batches by %d producers, acknowledged and stored in %s",
		humanize.Comma(records), batches, len(parts), time.Since(started).Round(time.Millisecond))
	return batches, nil
}

func (d *demo) produceOne(ctx context.Context, number int, part []byte) (client.Summary, error) {
	producer, err := d.laneway.Producer(ctx, topicName, client.ProducerOptions{BatchBytes: batchBytes})
	if err != nil {
		return client.Summary{}, err
	}
	headers := []protocol.Header{{Name: partHeader, Value: strconv.Itoa(number)}}
	in := produce.NewLineReader(bytes.NewReader(part), producer.Topic().MaxRecordBytes)
	_, err = produce.PublishLines(ctx, producer, in, headers)
	if closeErr := producer.Close(ctx); err == nil {
		err = closeErr
	}
	return producer.Summary(), err
}

// checkOrder reports how many batches were staged out of order, as the sequencer counts
// them, and checks that the log has all batches in order.
func (d *demo) checkOrder(ctx context.Context, topic protocol.Topic, batches int64) error {
	stats := d.sequencer.Stats()
	d.say("staging", "%d of %d batches were staged before an earlier one of their producer: out of order", stats.Early, stats.Completions)
	order, err := readOrder(ctx, d.conn, topic.Partition(0))
	if err != nil {
		return fmt.Errorf("the order in the log is broken: %w", err)
	}
	if int64(order.batches) != batches {
		return fmt.Errorf("the log has %d batches, %d were acknowledged", order.batches, batches)
	}
	d.say("log", "%d batches of %d lanes in %d entries: every release was in order, ticket numbers rise in each lane and offsets are dense",
		order.batches, len(order.last), order.entries)
	return nil
}

// consume reads all records back, puts the parts together and compares them with the
// input.
func (d *demo) consume(ctx context.Context) error {
	started := time.Now()
	parts := make([]bytes.Buffer, producers)
	for record, err := range d.laneway.Consumer(client.ConsumerOptions{Topic: topicName}).Records(ctx) {
		if err != nil {
			return err
		}
		if len(record.Headers) != 1 || record.Headers[0].Name != partHeader {
			return fmt.Errorf("the record at offset %d came back with other headers: %v", record.Offset, record.Headers)
		}
		number, err := strconv.Atoi(record.Headers[0].Value)
		if err != nil || number < 0 || number >= len(parts) {
			return fmt.Errorf("the record at offset %d came back with another header: %v", record.Offset, record.Headers)
		}
		parts[number].Write(record.Value)
		parts[number].WriteByte('\n')
	}
	var output []byte
	for i := range parts {
		output = append(output, parts[i].Bytes()...)
	}
	if !bytes.HasSuffix(d.input.data, []byte("\n")) {
		output = bytes.TrimSuffix(output, []byte("\n")) // the last line had no line feed
	}
	want, got := sha256.Sum256(d.input.data), sha256.Sum256(output)
	d.say("output", "%s in %s, SHA-256 %x", humanize.Bytes(uint64(len(output))), time.Since(started).Round(time.Millisecond), got[:8])
	if want != got {
		return fmt.Errorf("what came back is not what was sent: SHA-256 %x, sent was %x", got, want)
	}
	d.say("result", "the same bytes came back")
	return nil
}

// say prints a line of the report. An error of that write is ignored, because the exit
// code has the result.
func (d *demo) say(what, format string, arguments ...any) {
	_, _ = fmt.Fprintf(d.app.Stdout, "%-9s %s\n", what, fmt.Sprintf(format, arguments...))
}
