package bench

import (
	"errors"
	"fmt"
	"time"

	"laneway.dev/pkg/delivery"
	"laneway.dev/pkg/protocol"
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
	Producers     int // each with a connection of its own, of Produce and Publish; of Restart those of a partition
	InFlight      int // batches of a producer that are not acknowledged, of Publish records
	// Interval is the time from one record to the next, of Latency.
	Interval time.Duration

	Partitions int // of a topic, not of Consume; 0 is 1
	// Topics is the number of topics, of Latency, Create, Restart and Idle; 0 is one topic
	// without a subject of its own.
	Topics    int
	Producing int // partitions that have producers before a Restart

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
	// maxSpreadBytes bounds what a producer has in flight over several partitions.
	maxSpreadBytes = 4 << 20
	maxSeeds       = 1_000_000 // records that are sent before a restart
)

// spreadBytes returns how many bytes a producer has in flight over so many partitions, if it has
// so many over one.
func spreadBytes(one, partitions int) int {
	return max(one, min(one*partitions, maxSpreadBytes))
}

// Check returns why the plan cannot be measured, or nil. Its errors name the flags of the
// command line.
func (p *Plan) Check() error {
	switch {
	case p.Cluster != 1 && p.Cluster != 3:
		return fmt.Errorf("--cluster %d is not measured, only one server and three", p.Cluster)
	case p.Work == Latency && p.Interval < time.Second/maxRate:
		return fmt.Errorf("--rate is more than %d, which is the limit", maxRate)
	case p.Versus && p.Work == Produce && p.layout().targets() == 1 && p.Producers > maxAtomicBatches:
		return fmt.Errorf("--producers %d are more than JetStream lets send atomic batches at once, which is %d", p.Producers, maxAtomicBatches)
	}
	for _, check := range []func() error{p.checkServer, p.layout().check, p.checkSeeds, p.checkSizes} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// checkServer checks what a Laneway that runs already cannot do.
func (p *Plan) checkServer() error {
	if p.Server == "" {
		return nil
	}
	switch {
	case p.Cluster != 1:
		return fmt.Errorf("--cluster %d is started by the benchmark, but the Laneway of --nats runs already: give only one of them", p.Cluster)
	case p.Store != "":
		return errors.New("--store is for a Laneway that the benchmark starts: leave --nats or --store out")
	case p.ArchiveBytes != nil:
		return errors.New("--archive-bytes is for a Laneway that the benchmark starts: leave --nats or --archive-bytes out")
	case p.Versus:
		return errors.New("--versus needs both sides on this machine, started by the benchmark: leave --nats out")
	case p.workload().started:
		return fmt.Errorf("%s measures the processes of servers that the benchmark starts: leave --nats out", p.Work)
	}
	return nil
}

// checkSeeds checks what is sent before a restart.
func (p *Plan) checkSeeds() error {
	if p.Work != Restart {
		return nil
	}
	switch targets := p.layout().targets(); {
	case p.Producing > targets:
		return fmt.Errorf("--producing %d is more than there are partitions, which is %d", p.Producing, targets)
	case p.Producers > protocol.DefaultMaxProducers:
		return fmt.Errorf("--producers %d is more than a partition remembers, which is %d", p.Producers, protocol.DefaultMaxProducers)
	case int64(p.Producing)*int64(p.Producers) > maxSeeds:
		return fmt.Errorf("--producing %d with --producers %d are %d producers in all, more than %d, which is the limit",
			p.Producing, p.Producers, int64(p.Producing)*int64(p.Producers), maxSeeds)
	}
	return nil
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
	case p.Bytes > 0 && p.Bytes < int64(p.BatchBytes):
		return fmt.Errorf("--bytes %s is less than one batch or record, which is %s", bytesOf(p.Bytes), bytesOf(p.BatchBytes))
	case int64(p.Producers)*p.inFlightBytes() > maxBytesInFlight:
		return fmt.Errorf("--producers %d with --in-flight %d of %s each are more than %s in flight, which is the limit",
			p.Producers, p.InFlight, bytesOf(max(p.BatchBytes, p.MaxBatchBytes)), bytesOf(maxBytesInFlight))
	}
	return nil
}

// inFlightBytes returns how many bytes a producer has in flight.
func (p *Plan) inFlightBytes() int64 {
	one := p.InFlight * max(p.BatchBytes, p.MaxBatchBytes)
	if p.Work != Produce {
		return int64(one)
	}
	return int64(spreadBytes(one, p.layout().targets()))
}
