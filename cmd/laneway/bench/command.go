// Package bench is the command laneway bench, which measures Laneway and, on request,
// JetStream doing the same work on the same machine.
//
// It starts the servers it needs as processes of this binary, a new set for every
// measurement, and afterwards ends them and removes their data. Only acknowledged records
// count, and they are compared with what the servers say they have: a measurement with a
// missing record is an error.
//
// It never changes what it does not own. Of a Laneway that runs already it uses only a
// topic that it creates and deletes.
package bench

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/schollz/progressbar/v3"

	"laneway.dev/cmd/laneway/cli"
	services "laneway.dev/cmd/laneway/process"
)

// Command is laneway bench.
type Command struct {
	Produce produceCommand `cmd:"" help:"Measure producers that send batches by Laneway's own client."`
	Publish publishCommand `cmd:"" help:"Measure single records that an unmodified JetStream client sends by PublishAsync."`
	Consume consumeCommand `cmd:"" help:"Measure a consumer that reads when Laneway's cache is empty."`
	Latency latencyCommand `cmd:"" help:"Measure how long single records at a fixed rate wait for their acknowledgement."`
	Create  createCommand  `cmd:"" help:"Measure how long it takes to create topics."`
	Restart restartCommand `cmd:"" help:"Measure how long servers with many partitions take to restart."`
	Idle    idleCommand    `cmd:"" help:"Measure what partitions cost to which nothing is sent."`
}

// Help implements kong.HelpProvider.
func (*Command) Help() string {
	return `Every measurement starts servers as processes of this binary, with new data that is removed afterwards. Only acknowledged records count, and the servers must have exactly these. Laneway acknowledges nothing before it is on disk.

The table has the median, the lowest and the highest value of the rounds. With --versus jetstream it also has Laneway's median divided by that of each way to do the same with JetStream, and the lowest and highest of this ratio within a round. More records per second are better, and fewer milliseconds. On Linux, further tables have the processor time and the memory of all processes of the servers together.

With --partitions, produce, publish and latency spread records by chance over the partitions of a topic, and over as many streams of JetStream. They also measure Laneway with one partition.

--json prints: started; machine {system, architecture, cpus, go}; work {name, rounds, record_bytes, batch_bytes, producers, in_flight, records_per_second, topics, partitions, producing, duration_seconds, bytes, cluster, archive_bytes}; unit; better (higher or lower); contenders [{name, system, mode, sync, median, min, max, rounds [{records, bytes, seconds, value, latency {p50_ms, p90_ms, p99_ms, p99_9_ms, max_ms}, store {puts, reads, bytes}, servers {cpu_seconds, memory_bytes}}]}], Laneway first; ratios [{against, ratio, min, max, best, best_of_sync}]; notes.

Examples:

    laneway bench produce --versus jetstream --html report.html

    laneway bench produce --versus jetstream --cluster 3

    laneway bench latency --partitions 256 --rate 1500 --versus jetstream`
}

// commonFlags are the flags of every measurement.
type commonFlags struct {
	NATS         string            `name:"nats" env:"-" placeholder:"URL" help:"The NATS servers of a Laneway that runs; by default a new one is started, and removed afterwards. The topics of the measurement are removed, their payloads stay in its object store."`
	Store        cli.StoreLocation `env:"-" placeholder:"URL" help:"An object store to measure Laneway with besides a local one, such as s3://bucket/prefix. Each measurement uses a prefix of its own below this one and removes its objects afterwards; a marker of a few bytes stays."`
	Versus       string            `enum:",jetstream" default:"" placeholder:"jetstream" help:"Measure JetStream as well, in turns and on the same machine."`
	Cluster      cli.Number        `default:"1" placeholder:"N" help:"How many NATS servers to start: 1, or 3 to keep three replicas, with each role of Laneway in a process of its own."`
	Rounds       cli.Number        `default:"5" help:"How often to measure everything; the median counts."`
	RecordBytes  cli.Size          `default:"1KiB" help:"Size of a record."`
	ArchiveBytes *cli.Amount       `env:"-" placeholder:"SIZE" help:"The --archive-bytes of the Laneway that is measured, if it is not to be the default; 0 measures it without archiving."`
	Data         string            `placeholder:"FOLDER" help:"Where servers keep their data while they are measured; by default the folder for temporary files."`
	JSON         bool              `name:"json" help:"Print a JSON object instead of a table."`
	HTML         string            `name:"html" placeholder:"FILE" help:"Write a self-contained page with plots as well."`
}

// plan returns the plan of a work with the values of the common flags. The caller sets the
// fields that only its work has.
func (f *commonFlags) plan(work Work, amount amountFlags) Plan {
	record := int(f.RecordBytes)
	return Plan{
		Work: work, Versus: f.Versus != "", Rounds: int(f.Rounds), RecordBytes: record, BatchBytes: record, Producers: 1,
		Warmup: time.Duration(amount.Duration) / 4, Duration: time.Duration(amount.Duration), Bytes: int64(amount.Bytes),
		Cluster: int(f.Cluster), ArchiveBytes: (*int64)(f.ArchiveBytes), Server: f.NATS, Store: string(f.Store),
	}
}

// measure runs the plan and prints its report.
func (f *commonFlags) measure(a *cli.App, plan Plan) (err error) {
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
	if err := f.testStore(a); err != nil {
		return err
	}
	page, err := newPageFile(f.HTML)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, page.close()) }()
	if plan.Server != "" {
		_, _ = fmt.Fprintln(a.Stderr, "Note: the topics of this measurement are removed afterwards; their payloads stay in the object store of the Laneway that runs.")
	}
	progress := progressLine(a.Stderr, cli.IsTerminal(a.Stderr))
	plan.Progress = func(done, all int, now string) {
		progress.ChangeMax(all)
		progress.Describe(now)
		_ = progress.Set(done) // an error would only spoil the display
	}
	report, err := Run(a.Ctx, plan)
	_ = progress.Clear()
	switch {
	case a.Ctx.Err() != nil:
		return errors.New("interrupted")
	case errors.Is(err, nats.ErrNoServers):
		return cli.Advise(err, "start Laneway with: laneway serve; or leave --nats out, and one is started")
	case err != nil:
		return f.adviseStart(err)
	}
	return f.report(a, report, page)
}

// testStore tests the store of --store before any server is started with it.
func (f *commonFlags) testStore(a *cli.App) error {
	if f.Store == "" {
		return nil
	}
	waiting := cli.AwaitStore(a.Stderr, f.Store)
	defer waiting.End()
	err := services.TestStore(a.Ctx, f.Store)
	if a.Ctx.Err() != nil {
		return errors.New("interrupted")
	}
	return err
}

// adviseStart adds advice to the error of a server that does not start.
func (f *commonFlags) adviseStart(err error) error {
	_, isStart := errors.AsType[*StartError](err)
	switch {
	case isStart && errors.Is(err, syscall.EADDRINUSE):
		return cli.Advise(err, "end what takes so many ports of 127.0.0.1, which other measurements do as well, and start it again")
	case isStart && f.Store != "":
		return cli.Advise(err, fmt.Sprintf("see that the store works, with: laneway store check '%s'; and that the folder of --data has room, and that memory is left", f.Store))
	case isStart:
		return cli.Advise(err, "see that the folder of --data has room, and that memory is left; then start it again")
	}
	return err
}

// progressLine returns a progress bar that takes less than 80 columns, whatever it
// describes.
func progressLine(w io.Writer, visible bool) *progressbar.ProgressBar {
	return progressbar.NewOptions(1,
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetVisibility(visible),
		progressbar.OptionSetWidth(8),
		progressbar.OptionSetPredictTime(false),
		progressbar.OptionClearOnFinish(),
	)
}

func (f *commonFlags) report(a *cli.App, report *Report, page *pageFile) error {
	if err := page.write(report); err != nil {
		return err
	}
	if f.JSON {
		return cli.WriteJSON(a.Stdout, report)
	}
	return report.Print(a.Stdout)
}

// checkFolder returns why no folder can be created in a folder, or nil.
func checkFolder(path string) error {
	probe, err := os.MkdirTemp(path, "laneway-bench-")
	if err != nil {
		return reason(err)
	}
	return os.Remove(probe)
}

// reason returns an error without the path of a temporary file, because the user has not
// chosen that name.
func reason(err error) error {
	if failed, ok := errors.AsType[*fs.PathError](err); ok {
		return failed.Err
	}
	return err
}
