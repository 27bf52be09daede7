package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/alecthomas/kong"
	"github.com/dustin/go-humanize"
	"github.com/nats-io/nats.go"
	"golang.org/x/sync/errgroup"

	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/cmd/laneway/roles"
	"laneway.dev/internal/telemetry"
	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/sequencer"
)

const (
	demoTopic     = "demo"
	demoProducers = 4
	// Small batches and objects make many uploads that overtake each other.
	demoBatch   = 16 << 10
	demoObject  = 32 << 10
	demoUploads = 64
	// demoTimeout bounds everything but the stop.
	demoTimeout = 50 * time.Second
	// demoPart is the header that says to which part of the file a record belongs.
	demoPart = "Demo-Part"
)

type demoCommand struct {
	File string `placeholder:"PATH" help:"The file to send; by default about 8 MB of Go source or other text that is found on this machine."`
}

// Help implements kong.HelpProvider.
func (*demoCommand) Help() string {
	return `Starts NATS and the four services in this process on a free port, with data in a temporary folder and every upload delayed by 0 to 200 ms at random. Four producers send a quarter of the file each, at the same time and to the same partition. It is read back, put together and compared.

Example:

    laneway demo --file /etc/services`
}

// Run runs the demo; an error is something that Laneway promises and did not keep.
func (c *demoCommand) Run(a *cli.App) (err error) {
	ctx, cancel := context.WithTimeoutCause(a.Ctx, demoTimeout, errors.New("the demo took too long"))
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
	p := newProcess(log)
	d := demo{app: a, input: input}
	err = d.start(ctx, p, folder)
	if err == nil {
		err = d.run(ctx)
	}
	if a.Stopped(err) {
		err = errors.New("interrupted")
	} else if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	return errors.Join(err, p.shutdown(10*time.Second))
}

// demo is one run of the demo. It belongs to the goroutine of the command.
type demo struct {
	app       *cli.App
	input     demoInput
	conn      *nats.Conn
	laneway   *client.Client
	sequencer *sequencer.Service
}

// start starts what laneway serve starts, and connects to it.
func (d *demo) start(ctx context.Context, p *process, folder string) error {
	serve, err := demoServe(folder)
	if err != nil {
		return err
	}
	server, services, err := serve.start(ctx, p, nil)
	if err != nil {
		return err
	}
	if d.conn, err = server.Connect(nats.Name("laneway-demo")); err != nil {
		return err
	}
	p.onStop("the connection", func(context.Context) error { d.conn.Close(); return nil })
	d.laneway = client.New(d.conn)
	d.sequencer, _ = services.Service(roles.Sequencer).(*sequencer.Service)
	d.say("server", "NATS and four services in this process, data in %s, each upload delayed by 0 to 200 ms", folder)
	return nil
}

// demoServe returns laneway serve with the demo's flags. What the environment
// says about the real one does not concern it.
func demoServe(folder string) (*serveCommand, error) {
	var c serveCommand
	if err := kong.ApplyDefaults(&c); err != nil {
		return nil, err
	}
	c.Listen, c.HTTP, c.Data = "127.0.0.1:0", "", folder
	c.Fault = []string{"stage.delay=uniform(0,200ms)"}
	c.ObjectBytes, c.Uploads = demoObject, demoUploads
	return &c, nil
}

func (d *demo) run(ctx context.Context) error {
	want := sha256.Sum256(d.input.data)
	d.say("input", "%s: %s, SHA-256 %x", d.input.name, humanize.Bytes(uint64(len(d.input.data))), want[:8])
	topic, err := d.laneway.Admin().CreateTopic(ctx, protocol.TopicConfig{Name: demoTopic, MaxRecordBytes: protocol.MaxRecordBytesLimit})
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

// produce sends all parts at once and returns the number of batches.
func (d *demo) produce(ctx context.Context) (int64, error) {
	begun := time.Now()
	parts := d.input.parts(demoProducers)
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
	d.say("produced", "%s records in %d batches by %d producers, acknowledged and on disk in %s",
		humanize.Comma(records), batches, len(parts), time.Since(begun).Round(time.Millisecond))
	return batches, nil
}

func (d *demo) produceOne(ctx context.Context, number int, part []byte) (client.Summary, error) {
	producer, err := d.laneway.Producer(ctx, demoTopic, client.ProducerOptions{BatchBytes: demoBatch})
	if err != nil {
		return client.Summary{}, err
	}
	headers := []protocol.Header{{Name: demoPart, Value: strconv.Itoa(number)}}
	in := newLineReader(bytes.NewReader(part), producer.Topic().MaxRecordBytes)
	_, err = publishLines(ctx, producer, in, headers)
	if closeErr := producer.Close(ctx); err == nil {
		err = closeErr
	}
	return producer.Summary(), err
}

// checkOrder looks at what the sequencer counted, and at the log itself.
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

// consume reads everything back and puts the parts together.
func (d *demo) consume(ctx context.Context) error {
	begun := time.Now()
	parts := make([]bytes.Buffer, demoProducers)
	for record, err := range d.laneway.Consumer(client.ConsumerOptions{Topic: demoTopic}).Records(ctx) {
		if err != nil {
			return err
		}
		if len(record.Headers) != 1 || record.Headers[0].Name != demoPart {
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
		output = bytes.TrimSuffix(output, []byte("\n")) // the last line had no end
	}
	want, got := sha256.Sum256(d.input.data), sha256.Sum256(output)
	d.say("output", "%s in %s, SHA-256 %x", humanize.Bytes(uint64(len(output))), time.Since(begun).Round(time.Millisecond), got[:8])
	if want != got {
		return fmt.Errorf("what came back is not what was sent: SHA-256 %x, sent was %x", got, want)
	}
	d.say("result", "the same bytes came back")
	return nil
}

// say prints a line of the report. The exit code says the same to whom cannot read it.
func (d *demo) say(what, format string, arguments ...any) {
	_, _ = fmt.Fprintf(d.app.Stdout, "%-9s %s\n", what, fmt.Sprintf(format, arguments...))
}
