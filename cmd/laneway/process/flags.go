package process

import (
	"fmt"
	"time"

	"github.com/alecthomas/kong"
	"go.uber.org/zap"

	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/internal/fault"
	"laneway.dev/internal/telemetry"
	"laneway.dev/internal/topics"
	"laneway.dev/pkg/messages"
	"laneway.dev/services/frontend/core"
	"laneway.dev/services/frontend/produce"
)

// Flags are the flags of every command that runs services.
type Flags struct {
	LogLevel    string     `default:"info" enum:"debug,info,warn,error" help:"What to log: debug, info, warn or error."`
	LogFormat   string     `default:"auto" enum:"auto,console,json" help:"How to log: console, json, or auto, which is console on a terminal."`
	StopTimeout cli.Period `default:"25s" help:"How long a stop may take. What is not drained by then is cut off."`
	Replicas    Replicas   `placeholder:"NUMBER" help:"How many NATS servers keep each log, bucket and snapshot of a new Laneway: 1, 3 or 5, by default 3 in a NATS cluster and 1 on a single server. The first start of any service decides; a later one with another number fails."`
}

// Replicas is a number of replicas: 1, 3 or 5. An even number would survive the loss of no more servers than the odd
// one below it.
type Replicas int

// Decode implements kong.MapperValue.
func (r *Replicas) Decode(ctx *kong.DecodeContext) error {
	given, err := cli.PopValue(ctx, "number")
	if err != nil {
		return err
	}
	switch given {
	case "1", "3", "5":
		*r = Replicas(given[0] - '0')
		return nil
	}
	return fmt.Errorf("%q is not allowed: it is 1, 3 or 5", given)
}

// Logger returns the logger that the flags choose.
func (f *Flags) Logger() (*zap.Logger, error) {
	return telemetry.Logger(f.LogLevel, f.LogFormat)
}

// AdoptFlag is the flag of services that use the object store.
type AdoptFlag struct {
	AdoptStore bool `help:"Take over the object store although the record of this Laneway's store is lost, so that the store may belong to another Laneway. Give it for one start only."`
}

// ReserveFlag is the flag of services that upload to the object store.
type ReserveFlag struct {
	StoreReserve cli.Size `default:"64MiB" help:"What uploads leave free on the file system of a local object store, so that the logs, which need little, still find room. Uploads that would use it are rejected."`
}

// HeartbeatFlag is the flag of the services whose messages are repeated.
type HeartbeatFlag struct {
	Heartbeat cli.Period `default:"200ms" help:"How long a batch may be in flight before services ask each other about it."`
}

// FrontendFlags are the flags of a frontend.
type FrontendFlags struct {
	Deadline                     cli.Period  `default:"30s" help:"How long a producer waits at most for the answer to a batch; 1m at most."`
	StageTimeout                 cli.Period  `default:"2s" help:"When to stage a batch again, by another stager, if nothing is heard of it. Stagers report every 500ms which batches they have held for that long, so an upload may take longer than this. It must be longer than 1s."`
	MaxInFlightBytes             cli.Size    `default:"256MiB" help:"Bytes that all producers together may have in flight."`
	MaxInFlightBytesPerPartition cli.Size    `default:"256MiB" help:"Bytes that the producers of a partition may have in flight."`
	MaxInFlightPerPartition      cli.Number  `default:"16384" help:"Batches that the producers of a partition may have in flight."`
	InlineBytes                  cli.Amount  `default:"16KiB" help:"Largest batch that may travel in the log instead of an object of the store, without waiting for an upload, and at most an eighth of NATS' max_payload; 0 turns that off. None does while the replicator has --archive-bytes 0, because its log would keep these batches forever."`
	CacheBytes                   cli.Size    `default:"64MiB" help:"Memory for recent batches, from which consumers are served."`
	MaxFetches                   cli.Number  `default:"1024" help:"Fetches that may be open at once."`
	Logs                         *cli.Number `placeholder:"NUMBER" help:"Over how many logs, which are JetStream streams, a new Laneway spreads its partitions: 1 to 64, by default 4. The first start decides; a later one with another number fails."`
}

// Validate implements kong's check of flags.
func (f *FrontendFlags) Validate() error {
	if time.Duration(f.Deadline) > messages.MaxDeadline {
		return fmt.Errorf("--deadline is %s, allowed are up to %s", time.Duration(f.Deadline), messages.MaxDeadline)
	}
	if f.Logs != nil && *f.Logs > topics.MaxLogs {
		return fmt.Errorf("--logs is %d, allowed are 1 to %d", *f.Logs, topics.MaxLogs)
	}
	return nil
}

// Memory returns the bytes that batches and their cache may hold.
func (f *FrontendFlags) Memory() int64 { return int64(f.MaxInFlightBytes) + int64(f.CacheBytes) }

// Apply puts the values of the flags into a configuration.
func (f *FrontendFlags) Apply(c *Config, heartbeat HeartbeatFlag) {
	c.Frontend.Times = core.Times{
		Heartbeat:    time.Duration(heartbeat.Heartbeat),
		StageTimeout: time.Duration(f.StageTimeout),
		Deadline:     time.Duration(f.Deadline),
	}
	c.Frontend.Limits = produce.Limits{
		Bytes:            int64(f.MaxInFlightBytes),
		PartitionBytes:   int64(f.MaxInFlightBytesPerPartition),
		PartitionBatches: int(f.MaxInFlightPerPartition),
	}
	c.Frontend.InlineBytes = int64(f.InlineBytes)
	c.Frontend.CacheBytes = int64(f.CacheBytes)
	c.Frontend.MaxFetches = int(f.MaxFetches)
	if f.Logs != nil {
		c.Frontend.Logs = int(*f.Logs)
	}
}

// StagerFlags are the flags of a stager.
type StagerFlags struct {
	Linger           *cli.Delay  `placeholder:"DURATION" help:"How long an object waits for more batches; by default 250ms with a remote object store, and 0s with a local one. With 0s, it waits only while another object is being uploaded, for at most 10ms. A full object never waits."`
	ObjectBytes      cli.Size    `default:"4MiB" help:"Size at which an object is closed."`
	ObjectBatches    cli.Number  `default:"65536" help:"Number of batches at which an object is closed."`
	Uploads          cli.Number  `default:"8" help:"Uploads at once to begin with. Fewer run while the store fails."`
	MaxUploads       *cli.Number `placeholder:"NUMBER" help:"Uploads at once while the store keeps up and all are needed; by default 64 with a remote object store, and the same as --uploads with a local one."`
	MaxPutsPerSecond *cli.Number `placeholder:"NUMBER" help:"Objects that the stager stores in a second at most, retries included, because each put has a price; by default 200 with a remote object store, and unlimited with a local one."`
	StagerBytes      cli.Size    `default:"256MiB" help:"Memory for batches that are being staged. Batches beyond it are rejected."`
	Fault            []string    `sep:";" placeholder:"NAME=VALUE" help:"Test aid: make staging slow or unreliable by stage.delay=uniform(0,200ms), stage.fail=0.01 or store.bandwidth=20MB/s. May be repeated; in a variable, separate them by semicolons."`
	FaultSeed        int64       `default:"1" help:"Seed of the faults' random numbers."`
}

// Memory returns the bytes that batches may hold.
func (f *StagerFlags) Memory() int64 { return int64(f.StagerBytes) }

// Faults returns the faults that --fault and --fault-seed name.
func (f *StagerFlags) Faults() (*fault.Faults, error) {
	faults, err := fault.Parse(f.Fault, f.FaultSeed)
	if err != nil {
		return nil, cli.Misuse("--fault: %w", err)
	}
	return faults, nil
}

// Defaults of flags with a remote object store.
const (
	remoteLinger     = 250 * time.Millisecond
	remoteMaxUploads = 64
	remoteMaxPuts    = 200 // per second
)

// Apply puts the values of the flags into a configuration. Whether the object store is remote
// decides some defaults, and whether a late put is repeated: a second put of a slow disk would
// only make it slower.
func (f *StagerFlags) Apply(c *Config, faults *fault.Faults, remote bool) {
	c.Stager.Faults = faults
	if c.Stager.Hedge = remote; remote {
		c.Stager.Linger, c.Stager.MostUploads, c.Stager.PutsPerSecond = remoteLinger, remoteMaxUploads, remoteMaxPuts
	}
	if f.Linger != nil {
		c.Stager.Linger = time.Duration(*f.Linger)
	}
	if f.MaxUploads != nil {
		c.Stager.MostUploads = int(*f.MaxUploads)
	}
	if f.MaxPutsPerSecond != nil {
		c.Stager.PutsPerSecond = int(*f.MaxPutsPerSecond)
	}
	c.Stager.ObjectBytes = int64(f.ObjectBytes)
	c.Stager.ObjectBatches = int(f.ObjectBatches)
	c.Stager.Uploads = int(f.Uploads)
	c.Stager.MemoryBytes = int64(f.StagerBytes)
}

// ReplicatorFlags are the flags of a replicator.
type ReplicatorFlags struct {
	AppendTimeout   cli.Period `default:"2s" help:"How long an append to a log may take before its outcome is looked up in the log."`
	SnapshotEntries cli.Number `default:"10000" help:"After how many log entries of a partition a snapshot is saved. A snapshot lets a restart skip the log before it."`
	ArchiveBytes    cli.Amount `default:"64MiB" help:"How many bytes of records of a partition are moved from small objects and the log to a segment at a time, by archivers, which must be running; 0 turns this off. The small objects are deleted by sweeps, see --sweep-interval of archivers."`
	ArchiveAge      cli.Period `default:"10m" help:"After what time a record is archived even if a partition has fewer bytes than --archive-bytes."`
}

// Apply puts the values of the flags into a configuration.
func (f *ReplicatorFlags) Apply(c *Config) {
	c.Replicator.AppendTimeout = time.Duration(f.AppendTimeout)
	c.Replicator.SnapshotEntries = uint64(f.SnapshotEntries)
	c.Replicator.ArchiveBytes = int64(f.ArchiveBytes)
	c.Replicator.ArchiveAge = time.Duration(f.ArchiveAge)
}

// ArchiverFlags are the flags of an archiver.
type ArchiverFlags struct {
	ArchiverBytes         cli.Size   `default:"320MiB" help:"Memory for the part of a log that is being archived: its records, and as much again if they are compressed. A larger part is not archived."`
	SweepInterval         cli.Delay  `default:"5m" help:"Time between two sweeps of the object store, which delete objects that are not needed any more. One archiver sweeps at a time. With 0s, this one never does."`
	SweepDeletesPerSecond cli.Number `default:"200" help:"How many objects a sweep deletes a second at most."`
}

// Bounds of the flags of an archiver. An entry of a log, the smallest part of it, refers to up to 32 MiB of
// payload, and compressing it takes as much again.
const (
	minArchiverBytes = 64 << 20
	minSweepInterval = time.Second
)

// Validate implements kong's check of flags.
func (f *ArchiverFlags) Validate() error {
	switch interval := time.Duration(f.SweepInterval); {
	case f.ArchiverBytes < minArchiverBytes:
		return fmt.Errorf("--archiver-bytes is %d, allowed are 64MiB and more, because a smaller archiver cannot archive every entry of a log", f.ArchiverBytes)
	case interval != 0 && interval < minSweepInterval:
		return fmt.Errorf("--sweep-interval is %s, allowed are 0s and %s or more, because a sweep reads all logs", interval, minSweepInterval)
	}
	return nil
}

// Memory returns the bytes that the part of a log may hold.
func (f *ArchiverFlags) Memory() int64 { return int64(f.ArchiverBytes) }

// Apply puts the values of the flags into a configuration.
func (f *ArchiverFlags) Apply(c *Config) {
	c.Archiver.JobBytes = int64(f.ArchiverBytes)
	c.Archiver.SweepInterval = time.Duration(f.SweepInterval)
	c.Archiver.SweepDeletes = int(f.SweepDeletesPerSecond)
}
