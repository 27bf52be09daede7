package bench

import (
	"fmt"
	"time"
)

// The systems that are measured.
const (
	Laneway   = "laneway"
	JetStream = "jetstream"
)

// Work is what is measured.
type Work string

// The works. See the fields of Plan for what they look at.
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

// Plan says what is measured, and how. All fields are needed unless said otherwise.
type Plan struct {
	Work        Work
	Versus      bool // JetStream as well
	Rounds      int
	RecordBytes int           // values; there are no headers
	Warmup      time.Duration // of every measurement, not counted; not of Consume
	Duration    time.Duration // of every measurement; not of Consume
	Bytes       int64         // after which a measurement ends early; of Consume what it reads

	BatchBytes int // values in a batch, of Produce and Consume
	Producers  int // each with a connection of its own, of Produce and Publish
	InFlight   int // batches of a producer that are not acknowledged, of Publish records
	Rate       int // records a second, of Latency

	Cluster int    // NATS servers: 1, or 3 with three replicas of everything
	Server  string // URL of a Laneway that runs; empty to start one
	Folder  string // where folders for data are made
	Binary  string // laneway, of which the servers are processes

	// Progress is called before every measurement, from one goroutine; may be nil.
	Progress func(done, all int, now string)
}

// batchRecords is how many records make a batch.
func (p *Plan) batchRecords() int { return max(1, p.BatchBytes/p.RecordBytes) }

// Limits of a plan.
const (
	maxBatchBytes    = 4 << 20
	maxRate          = 100_000
	maxBytesInFlight = 1 << 30 // of all producers, which this process keeps in memory
)

// Check returns why this cannot be measured, or nil.
func (p *Plan) Check() error {
	switch {
	case p.Cluster != 1 && p.Cluster != 3:
		return fmt.Errorf("a cluster of %d is not measured, only one server and three", p.Cluster)
	case p.Rate > maxRate:
		return fmt.Errorf("%d records a second are more than %d, which is the limit", p.Rate, maxRate)
	case p.BatchBytes > maxBatchBytes:
		return fmt.Errorf("batches of %d bytes are larger than %d, which is the limit", p.BatchBytes, maxBatchBytes)
	case int64(p.Producers)*int64(p.InFlight)*int64(p.BatchBytes) > maxBytesInFlight:
		return fmt.Errorf("%d producers with %d in flight of %d bytes each are more than %d bytes in flight, which is the limit",
			p.Producers, p.InFlight, p.BatchBytes, maxBytesInFlight)
	case p.RecordBytes < stampBytes:
		return fmt.Errorf("records of %d bytes are too small to be told apart, which needs %d", p.RecordBytes, stampBytes)
	case p.BatchBytes < p.RecordBytes:
		return fmt.Errorf("batches of %d bytes are less than one record of %d", p.BatchBytes, p.RecordBytes)
	case p.Bytes < int64(p.BatchBytes):
		return fmt.Errorf("%d bytes are less than one batch of %d", p.Bytes, p.BatchBytes)
	case p.Versus && p.Producers > maxAtomicBatches:
		return fmt.Errorf("%d producers are more than JetStream lets send atomic batches at once, which is %d", p.Producers, maxAtomicBatches)
	case p.Server != "" && p.Cluster != 1:
		return fmt.Errorf("a cluster of %d is started by the benchmark: %s runs already", p.Cluster, p.Server)
	case p.Versus && p.Server != "":
		return fmt.Errorf("a comparison needs both sides on this machine, started by the benchmark: not %s", p.Server)
	}
	return nil
}
