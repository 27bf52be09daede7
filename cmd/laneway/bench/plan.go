package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"laneway.dev/pkg/delivery"
)

// The systems that are measured.
const (
	Laneway   = "laneway"
	JetStream = "jetstream"
)

// Work is what is measured.
type Work string

// The kinds of work. The fields of Plan say which of them they apply to.
const (
	// Produce sends batches of records by Laneway's own client.
	Produce Work = "produce"
	// Publish sends single records by the PublishAsync of a JetStream client.
	Publish Work = "publish"
	// Consume reads what was sent before, when the servers have nothing in memory.
	Consume Work = "consume"
	// Latency sends single records at a fixed rate.
	Latency Work = "latency"
)

// Plan is what to measure, and how. All fields are required unless said otherwise.
type Plan struct {
	Work        Work
	Versus      bool // JetStream as well
	Rounds      int
	RecordBytes int           // values; there are no headers
	Warmup      time.Duration // of every measurement, not counted; not of Consume
	Duration    time.Duration // of every measurement; not of Consume
	Bytes       int64         // after which a measurement ends early; of Consume what it reads

	BatchBytes int // values in a batch, of Produce and Consume
	// MaxBatchBytes is the size up to which Laneway's batches grow, of Produce; 0 for a fixed one.
	MaxBatchBytes int
	Producers     int // each with a connection of its own, of Produce and Publish
	InFlight      int // batches of a producer that are not acknowledged, of Publish records
	Rate          int // records a second, of Latency

	Cluster int // NATS servers: 1, or 3 with three replicas of everything
	// ArchiveBytes is what a Laneway that is started archives at a time; 0 for nothing, and nil for
	// what it does by default.
	ArchiveBytes *int64
	Server       string // URL of a Laneway that runs; empty to start one
	Store        string // where a Laneway that is started keeps its objects; empty for its folder
	Folder       string // where folders for data are made
	Binary       string // laneway, of which the servers are processes

	// Progress is called before every measurement, from one goroutine; may be nil.
	Progress func(done, all int, now string)
}

// batchRecords returns the number of records in a batch.
func (p *Plan) batchRecords() int { return max(1, p.BatchBytes/p.RecordBytes) }

// Limits of a plan.
const (
	maxBatchBytes    = 4 << 20
	maxRate          = 100_000
	maxBytesInFlight = 1 << 30 // of all producers, which this process keeps in memory
)

// Check returns why the plan cannot be measured, or nil. Its errors name the flags of the
// command line.
func (p *Plan) Check() error {
	switch {
	case p.Cluster != 1 && p.Cluster != 3:
		return fmt.Errorf("--cluster %d is not measured, only one server and three", p.Cluster)
	case p.Rate > maxRate:
		return fmt.Errorf("--rate %d is more than %d, which is the limit", p.Rate, maxRate)
	case p.Versus && p.Producers > maxAtomicBatches:
		return fmt.Errorf("--producers %d are more than JetStream lets send atomic batches at once, which is %d", p.Producers, maxAtomicBatches)
	case p.Server != "" && p.Cluster != 1:
		return fmt.Errorf("--cluster %d is started by the benchmark, but the Laneway of --nats runs already: give only one of them", p.Cluster)
	case p.Store != "" && p.Server != "":
		return errors.New("--store is for a Laneway that the benchmark starts: leave --nats or --store out")
	case p.ArchiveBytes != nil && p.Server != "":
		return errors.New("--archive-bytes is for a Laneway that the benchmark starts: leave --nats or --archive-bytes out")
	case p.Versus && p.Server != "":
		return errors.New("--versus needs both sides on this machine, started by the benchmark: leave --nats out")
	}
	return p.checkSizes()
}

func (p *Plan) checkSizes() error {
	switch {
	case p.RecordBytes < stampBytes:
		return fmt.Errorf("--record-bytes %d is too small to tell records apart, which needs %d", p.RecordBytes, stampBytes)
	case p.RecordBytes > maxBatchBytes:
		return fmt.Errorf("--record-bytes %s is more than %s, which is the limit", bytesOf(p.RecordBytes), bytesOf(maxBatchBytes))
	case p.BatchBytes > maxBatchBytes:
		return fmt.Errorf("--batch-bytes %s is more than %s, which is the limit", bytesOf(p.BatchBytes), bytesOf(maxBatchBytes))
	case p.MaxBatchBytes > maxBatchBytes:
		return fmt.Errorf("--max-batch-bytes %s is more than %s, which is the limit", bytesOf(p.MaxBatchBytes), bytesOf(maxBatchBytes))
	case p.BatchBytes < p.RecordBytes && p.Work == Consume:
		return fmt.Errorf("--record-bytes %s is more than a batch, which is %s", bytesOf(p.RecordBytes), bytesOf(p.BatchBytes))
	case p.BatchBytes < p.RecordBytes:
		return fmt.Errorf("--record-bytes %s is more than --batch-bytes %s: a batch has at least one record",
			bytesOf(p.RecordBytes), bytesOf(p.BatchBytes))
	case p.Work == Produce && p.InFlight > delivery.Span:
		return fmt.Errorf("--in-flight %d is more than %d: a partition recognizes no more batches when they are sent again",
			p.InFlight, delivery.Span)
	case p.Bytes < int64(p.BatchBytes):
		return fmt.Errorf("--bytes %s is less than one batch or record, which is %s", bytesOf(p.Bytes), bytesOf(p.BatchBytes))
	case int64(p.Producers)*int64(p.InFlight)*int64(max(p.BatchBytes, p.MaxBatchBytes)) > maxBytesInFlight:
		return fmt.Errorf("--producers %d with --in-flight %d of %s each are more than %s in flight, which is the limit",
			p.Producers, p.InFlight, bytesOf(max(p.BatchBytes, p.MaxBatchBytes)), bytesOf(maxBytesInFlight))
	}
	return nil
}

// contender is one way to do the work on one system.
type contender struct {
	system string
	mode   string
	sync   string
	store  string // of Laneway, if it is not in its folder
	local  bool   // Laneway with a store in its folder, beside one with another store
	open   func(context.Context, *servers, *Plan) (place, error)
}

// name is unique among the contenders of a work.
func (c *contender) name() string {
	if c.system == Laneway {
		if c.local {
			return Laneway + ", local store"
		}
		return Laneway
	}
	return c.system + " " + c.mode + ", sync " + c.sync
}

// contenders returns the ways to do the work, Laneway first. With a store of the user, Laneway
// with a local store follows, for comparison.
func (p *Plan) contenders() []*contender {
	own := map[Work]string{
		Produce: "batches", Publish: modeAsync, Consume: "client", Latency: modePublish,
	}[p.Work]
	all := []*contender{{system: Laneway, mode: own, sync: syncAlways, store: p.Store, open: newTopicPlace}}
	if p.Store != "" {
		all = append(all, &contender{system: Laneway, mode: own, sync: syncAlways, local: true, open: newTopicPlace})
	}
	if !p.Versus {
		return all
	}
	modes, syncs := []string{}, []string{syncDefault, syncAlways}
	switch p.Work {
	case Produce:
		modes = []string{modeAsync, modeAtomic, p.modeMessages()}
	case Publish:
		modes = []string{modeAsync}
	case Latency:
		modes = []string{modePublish}
	case Consume:
		// How messages were synced makes no difference to a reader, because they are in the
		// kernel's page cache.
		modes, syncs = []string{modeOrdered, p.modeMessages()}, syncs[:1]
	}
	for _, sync := range syncs {
		for _, mode := range modes {
			all = append(all, &contender{system: JetStream, mode: mode, sync: sync, open: newStreamPlace(mode)})
		}
	}
	return all
}
