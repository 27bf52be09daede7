package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/schollz/progressbar/v3"

	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/internal/bench"
)

type benchCommand struct {
	Produce benchProduce `cmd:"" help:"Measure producers that send batches by Laneway's own client."`
	Publish benchPublish `cmd:"" help:"Measure single records that an unmodified JetStream client sends by PublishAsync."`
	Consume benchConsume `cmd:"" help:"Measure a consumer that reads when Laneway's cache is empty."`
	Latency benchLatency `cmd:"" help:"Measure how long single records at a fixed rate wait for their acknowledgement."`
}

// Help implements kong.HelpProvider.
func (*benchCommand) Help() string {
	return `Servers are started for every measurement, as processes of this binary, on new data that is removed afterwards. Only acknowledged records count, and the servers must have exactly these. Everything of Laneway is on disk before it is acknowledged.

The table has the median, the lowest and the highest of the rounds; with --versus jetstream also Laneway's median divided by that of each way to do the same with JetStream, and the lowest and highest of this ratio within a round. Of records a second more is better, of milliseconds less.

--json prints: started; machine {system, architecture, cpus, go}; work {name, rounds, record_bytes, batch_bytes, producers, in_flight, records_per_second, duration_seconds, bytes, cluster}; unit; better (higher or lower); contenders [{name, system, mode, sync, median, min, max, rounds [{records, bytes, seconds, value, latency {p50_ms, p90_ms, p99_ms, p99_9_ms, max_ms}}]}], Laneway first; ratios [{against, ratio, min, max, best, best_of_sync}]; notes.

Examples:

    laneway bench produce --versus jetstream --html report.html

    laneway bench produce --versus jetstream --cluster 3`
}

// benchFlags are those of every measurement.
type benchFlags struct {
	NATS        string     `name:"nats" env:"-" placeholder:"URL" help:"The NATS servers of a Laneway that runs; by default a new one is started, and removed afterwards. The topics of the measurement are removed, their payloads stay in its object store."`
	Versus      string     `enum:",jetstream" default:"" placeholder:"jetstream" help:"Measure JetStream as well, in turns and on the same machine."`
	Cluster     cli.Number `default:"1" placeholder:"N" help:"How many NATS servers to start: 1, or 3 to keep three replicas, with each role of Laneway in a process of its own."`
	Rounds      cli.Number `default:"5" help:"How often to measure everything; of the values the median counts."`
	RecordBytes cli.Size   `default:"1KiB" help:"Size of a record."`
	Data        string     `placeholder:"FOLDER" help:"Where servers keep their data while they are measured; by default the folder for temporary files."`
	JSON        bool       `name:"json" help:"Print a JSON object instead of a table."`
	HTML        string     `name:"html" placeholder:"FILE" help:"Write a page with plots as well, which needs nothing else."`
}

// benchAmount bounds a measurement that lasts as long as it is told.
type benchAmount struct {
	Duration cli.Period `default:"3s" help:"How long each measurement lasts, after a warm-up of a quarter of it."`
	Bytes    cli.Size   `default:"1GiB" help:"Size of all records after which a measurement ends early."`
}

type benchProduce struct {
	benchFlags
	benchAmount
	benchBatches
}

// benchBatches say how batches are sent.
type benchBatches struct {
	BatchBytes cli.Size   `default:"64KiB" help:"Size of the records in a batch."`
	Producers  cli.Number `default:"16" help:"Producers, each with a connection of its own."`
	InFlight   cli.Number `default:"5" help:"Batches of a producer that may be unanswered at once, at most 5."`
}

// Help implements kong.HelpProvider.
func (*benchProduce) Help() string {
	return `JetStream gets the same records, with as many bytes in flight: by PublishAsync, in atomic batches, and as messages that each hold a whole batch; synced as it does by default, which is every two minutes, and before every acknowledgement (always), as Laneway does.

Example:

    laneway bench produce --versus jetstream`
}

// Run measures.
func (c *benchProduce) Run(a *cli.App) error {
	plan := c.plan(bench.Produce, c.benchAmount)
	c.apply(&plan)
	return c.measure(a, plan)
}

func (b *benchBatches) apply(plan *bench.Plan) {
	plan.BatchBytes, plan.Producers, plan.InFlight = int(b.BatchBytes), int(b.Producers), int(b.InFlight)
}

type benchPublish struct {
	benchFlags
	benchAmount
	Producers cli.Number `default:"1" help:"Producers, each with a connection of its own."`
	InFlight  cli.Number `default:"4096" help:"Records of a producer that may be unanswered at once."`
}

// Help implements kong.HelpProvider.
func (*benchPublish) Help() string {
	return `With --versus jetstream, the same client sends the same records to a stream by PublishAsync, with as many unanswered: once synced as JetStream does by default, which is every two minutes, and once before every acknowledgement (always), as Laneway does.

Example:

    laneway bench publish --versus jetstream`
}

// Run measures.
func (c *benchPublish) Run(a *cli.App) error {
	plan := c.plan(bench.Publish, c.benchAmount)
	plan.Producers, plan.InFlight = int(c.Producers), int(c.InFlight)
	return c.measure(a, plan)
}

type benchConsume struct {
	benchFlags
	Bytes cli.Size `default:"256MiB" help:"Size of all records that are sent, and then read."`
}

// Help implements kong.HelpProvider.
func (*benchConsume) Help() string {
	return `What is read was sent before, in batches of 64 KiB; then the servers are started again, so that they have nothing in memory. Every record is checked: that it is there, and in its place.

With --versus jetstream, an ordered consumer reads the same records from streams: one with a record in each message, and one with messages of 64 KiB that each hold a batch. JetStream is synced as it does by default, which makes no difference to a reader.

Example:

    laneway bench consume --versus jetstream`
}

// Run measures.
func (c *benchConsume) Run(a *cli.App) error {
	plan := c.plan(bench.Consume, benchAmount{Bytes: c.Bytes})
	plan.BatchBytes, plan.Producers, plan.InFlight = 64<<10, 16, 5
	return c.measure(a, plan)
}

type benchLatency struct {
	benchFlags
	benchAmount
	Rate cli.Number `default:"100" help:"Records a second."`
}

// Help implements kong.HelpProvider.
func (*benchLatency) Help() string {
	return `A record is due at every tick of the rate and is sent by the Publish of an unmodified JetStream client, whether the ones before are acknowledged or not. Its latency counts from when it was due: what waits behind a stall counts the stall. By default records are far enough apart to be on their way alone.

Example:

    laneway bench latency --versus jetstream`
}

// Run measures.
func (c *benchLatency) Run(a *cli.App) error {
	plan := c.plan(bench.Latency, c.benchAmount)
	plan.Rate = int(c.Rate)
	return c.measure(a, plan)
}

// plan returns what the common flags say.
func (f *benchFlags) plan(work bench.Work, amount benchAmount) bench.Plan {
	record := int(f.RecordBytes)
	return bench.Plan{
		Work: work, Versus: f.Versus != "", Rounds: int(f.Rounds), RecordBytes: record, BatchBytes: record, Producers: 1,
		Warmup: time.Duration(amount.Duration) / 4, Duration: time.Duration(amount.Duration), Bytes: int64(amount.Bytes),
		Cluster: int(f.Cluster), Server: f.NATS,
	}
}

// measure runs the plan and reports.
func (f *benchFlags) measure(a *cli.App, plan bench.Plan) (err error) {
	if plan.Binary, err = os.Executable(); err != nil {
		return err
	}
	if plan.Folder = f.Data; plan.Folder == "" {
		plan.Folder = os.TempDir()
	}
	if err := plan.Check(); err != nil {
		return cli.UsageError(err, "laneway bench "+string(plan.Work)+" --help")
	}
	if err := checkFolder(plan.Folder); err != nil {
		return cli.Misuse("--data %s: %w", plan.Folder, err)
	}
	page, err := newPage(f.HTML)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, page.close()) }()
	if plan.Server != "" {
		_, _ = fmt.Fprintln(a.Stderr, "Note: the topics of this measurement are removed afterwards; their payloads stay in the object store of the Laneway that runs.")
	}
	progress := benchProgress(a.Stderr, cli.IsTerminal(a.Stderr))
	plan.Progress = func(done, all int, now string) {
		progress.ChangeMax(all)
		progress.Describe(now)
		_ = progress.Set(done) // it only shows
	}
	report, err := bench.Run(a.Ctx, plan)
	_ = progress.Clear()
	switch {
	case a.Ctx.Err() != nil:
		return errors.New("interrupted")
	case errors.Is(err, nats.ErrNoServers):
		return cli.Advise(err, "start Laneway with: laneway serve; or leave --nats out, and one is started")
	case err != nil:
		return adviseStart(err)
	}
	return f.report(a, report, page)
}

// adviseStart says what to do about a server that does not start.
func adviseStart(err error) error {
	_, isStart := errors.AsType[*bench.StartError](err)
	switch {
	case isStart && errors.Is(err, syscall.EADDRINUSE):
		return cli.Advise(err, "end what takes so many ports of 127.0.0.1, which other measurements do as well, and start it again")
	case isStart:
		return cli.Advise(err, "see that the folder of --data has room, and that memory is left; then start it again")
	}
	return err
}

// benchProgress returns a line of less than 80 columns.
func benchProgress(w io.Writer, visible bool) *progressbar.ProgressBar {
	return progressbar.NewOptions(1,
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetVisibility(visible),
		progressbar.OptionSetWidth(8),
		progressbar.OptionSetPredictTime(false),
		progressbar.OptionClearOnFinish(),
	)
}

func (f *benchFlags) report(a *cli.App, report *bench.Report, page *page) error {
	if err := page.write(report); err != nil {
		return err
	}
	if f.JSON {
		return cli.WriteJSON(a.Stdout, report)
	}
	return report.Print(a.Stdout)
}

// checkFolder returns why nothing can be made in a folder, or nil.
func checkFolder(path string) error {
	probe, err := os.MkdirTemp(path, "laneway-bench-")
	if err != nil {
		return reason(err)
	}
	return os.Remove(probe)
}

// reason returns the error without the path of a temporary file, which nobody named.
func reason(err error) error {
	if failed, ok := errors.AsType[*fs.PathError](err); ok {
		return failed.Err
	}
	return err
}

// page is a file that takes the place of an older one only when it is complete.
// It is made first: that it cannot be written is not to be found out last.
type page struct {
	path string
	file *os.File // nil if none is wanted, or it is complete
}

func newPage(path string) (*page, error) {
	if path == "" {
		return &page{}, nil
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil, cli.Misuse("--html %s: it is a folder; name a file", path)
	}
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return nil, cli.Misuse("--html %s: %w", path, reason(err))
	}
	return &page{path, file}, nil
}

func (p *page) write(report *bench.Report) error {
	if p.file == nil {
		return nil
	}
	if err := errors.Join(report.WriteHTML(p.file), p.file.Chmod(0o644)); err != nil {
		return err
	}
	file := p.file
	p.file = nil
	return errors.Join(file.Close(), os.Rename(file.Name(), p.path))
}

// close removes what is not complete.
func (p *page) close() error {
	if p.file == nil {
		return nil
	}
	return errors.Join(p.file.Close(), os.Remove(p.file.Name()))
}
