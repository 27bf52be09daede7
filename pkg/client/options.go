package client

import (
	"slices"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"laneway.dev/pkg/delivery"
	"laneway.dev/pkg/protocol"
)

// ProducerOptions configure a producer. The zero value is a good default.
type ProducerOptions struct {
	// Name makes the producer the next instance of the producer of this name. It
	// fences the earlier instance, and continues after the last record of that
	// producer in the log (see Producer.NextSequence). Without a name, the producer
	// is a new one.
	Name string
	// Partition is the partition to which all records go. If it is nil, keys choose
	// the partition, and records without a key go to all partitions in turn, one
	// batch each. Records keep their order within a partition only.
	Partition *int32

	// BatchBytes bounds the size of a batch frame, before compression, while answers are
	// fast. The default is 256 KiB, and 1 MiB with compression. A larger record gets a
	// batch of its own.
	BatchBytes int
	// MaxBatchBytes is the size up to which batches grow while answers take longer than
	// 50 ms, because only MaxInFlight batches are in flight: with a store that takes
	// 300 ms, larger batches are the only way to send more. Batches grow only if that
	// makes the producer faster. The default is BatchBytes if that is given, so that it
	// does not change, and 4 MiB otherwise. NATS' max_payload bounds it, too.
	MaxBatchBytes int
	// BatchRecords bounds the records of a batch. The default is 10,000, and 40,000 with
	// compression.
	BatchRecords int
	// Compression compresses batches: protocol.CompressionS2 takes little processor time,
	// and protocol.CompressionZstd makes batches smaller. They are compressed once, and
	// stay so in the object store and on the way to consumers. The default is none. The
	// larger a batch, the better it is compressed, so batches are larger by default.
	Compression protocol.Compression
	// Linger is how long a batch that is not full waits for more records before it
	// is sent. With 0, the default, a batch is sent as soon as fewer than MaxInFlight
	// batches are in flight, and, if the producer has several partitions, not more than
	// half of BufferBytes. Records that are published until then share a batch, so
	// batches grow by themselves under load.
	Linger time.Duration
	// MaxInFlight bounds the batches of a partition that are sent and not
	// acknowledged. The default, and the highest possible value, is delivery.Span,
	// which is 5: a partition recognizes no more batches than that when they are
	// sent again.
	MaxInFlight int
	// BufferBytes bounds the memory of the records that are not acknowledged; the
	// default is 32 MiB. When it is reached, Publish waits.
	BufferBytes int

	// AttemptTimeout is how long a batch waits for its answer before it is sent
	// again; the default is 5 s. It grows up to 35 s while answers are slow.
	AttemptTimeout time.Duration
	// DeliveryTimeout bounds the time that a batch takes until it is acknowledged,
	// over all attempts, with or without a connection; the default is 2 minutes.
	// When it is exceeded, the producer fails.
	//
	// The time starts when it is the batch's turn: it is full or may be sent (see Linger), and
	// fewer than MaxInFlight batches of its partition are before it. The timeout MUST
	// be shorter than the topic's producer-expiry. Otherwise a partition could forget
	// the producer between two attempts, and accept the batch twice.
	DeliveryTimeout time.Duration

	// TracerProvider creates a span for each batch, from its first attempt to its
	// acknowledgement. The span is a child of the span in the context of the Publish
	// that started the batch. If it is nil, there are no spans.
	TracerProvider trace.TracerProvider
	// OnRetry is called when batches of a partition are going to be sent again. err
	// is what the first of them failed with. The producer has not failed. OnRetry
	// runs in the producer's goroutine: it MUST NOT block, and MUST NOT wait for the
	// producer.
	OnRetry func(partition int32, err *protocol.Error)
	// OnAck is called for each acknowledged batch, within a partition in the order
	// of sending, after the futures of the batch are done. The rules of OnRetry
	// apply.
	OnAck func(BatchAck)
}

// complete returns the options with defaults.
func (o ProducerOptions) complete() ProducerOptions {
	if o.Compression == "" {
		o.Compression = protocol.CompressionNone
	}
	batchBytes, batchRecords := 256<<10, 10_000
	if o.Compression != protocol.CompressionNone {
		// What a batch costs apart from its bytes would otherwise weigh more than compression saves.
		batchBytes, batchRecords = 4*batchBytes, 4*batchRecords
	}
	if o.BatchBytes <= 0 {
		o.BatchBytes = batchBytes
		orDefault(&o.MaxBatchBytes, 4<<20)
	}
	o.MaxBatchBytes = max(o.BatchBytes, o.MaxBatchBytes)
	orDefault(&o.BatchRecords, batchRecords)
	orDefault(&o.BufferBytes, 32<<20)
	if o.TracerProvider == nil {
		o.TracerProvider = noop.NewTracerProvider()
	}
	if o.OnRetry == nil {
		o.OnRetry = func(int32, *protocol.Error) {}
	}
	if o.OnAck == nil {
		o.OnAck = func(BatchAck) {}
	}
	return o
}

func orDefault[T int | int64 | time.Duration](value *T, standard T) {
	if *value <= 0 {
		*value = standard
	}
}

// check returns an error if an option has a value that it cannot have.
func (o ProducerOptions) check() error {
	if o.Compression != protocol.CompressionNone && !slices.Contains(protocol.Compressions(), o.Compression) {
		return protocol.Errorf(protocol.CodeInvalidRequest, "compression is %.20q, allowed are none, s2 and zstd", o.Compression)
	}
	return nil
}

// window returns the settings of a partition's window. next is the producer
// sequence of the first record that is sent there.
func (o ProducerOptions) window(next int32, random func() float64) delivery.Settings {
	return delivery.Settings{
		First: next, Batches: o.MaxInFlight, Random: random,
		MinAttemptTimeout: max(0, o.AttemptTimeout), DeliveryTimeout: max(0, o.DeliveryTimeout),
	}
}

// targets returns the partitions that the producer sends to.
func (o ProducerOptions) targets(topic protocol.Topic) ([]protocol.Partition, error) {
	if o.Partition != nil {
		n := *o.Partition
		if n < 0 || int(n) >= topic.Partitions {
			return nil, noPartition(topic, n)
		}
		return []protocol.Partition{topic.Partition(int(n))}, nil
	}
	all := make([]protocol.Partition, topic.Partitions)
	for n := range all {
		all[n] = topic.Partition(n)
	}
	return all, nil
}

func noPartition(topic protocol.Topic, n int32) error {
	return protocol.Errorf(protocol.CodeUnknownTopic, "%s has the partitions 0 to %d, not %d", topic.Name, topic.Partitions-1, n)
}

// ConsumerOptions say what to read. Topic is required.
type ConsumerOptions struct {
	Topic string
	// Partition is the partition to read. If it is nil, all are read.
	Partition *int32

	// From, Offset and Time say where to start; at most one may be set. Without any,
	// reading starts at the earliest record. They apply to each partition that is
	// read.

	From   string     // protocol.FromEarliest or protocol.FromLatest
	Offset *int64     // the offset of the first record
	Time   *time.Time // start at the first record committed at or after this time

	// Follow makes the consumer wait for more records at the end of a partition.
	// Otherwise it reads to where the partition ended when reading started.
	Follow bool
	// MaxRecords ends the reading after this many records of all partitions
	// together; 0 means no limit. With Follow, the consumer waits for them.
	MaxRecords int64
	// MaxWait is how long to wait, without Follow, for a record if there is none at
	// the start.
	MaxWait time.Duration

	// OnGap is called for offsets without records. It runs in the goroutine that
	// iterates, after the record before the gap and before the one after it. If it
	// is nil, gaps that never had records are passed over silently, and records that
	// were deleted before they were read end the reading with OFFSET_OUT_OF_RANGE.
	OnGap func(Gap)
	// SkipCorrupt makes the consumer skip records that are lost or damaged, and call
	// OnGap for them. Without it, reading a partition ends at such a record with the
	// error CORRUPT.
	SkipCorrupt bool

	// WindowBytes bounds the bytes in flight for each partition; the default is
	// 8 MiB. A single batch may exceed it.
	WindowBytes int64
	// Silence is how long the consumer waits for a message, including heartbeats,
	// before it sends its request again; the default is 15 s.
	Silence time.Duration
	// Retries is how often in a row a request without a result is repeated before
	// the consumer fails, with growing pauses; the default is 8, which takes about
	// 7 s. With Follow, the limit applies only until a frontend has answered once:
	// after that the consumer retries forever.
	Retries int
}

// complete returns the options with defaults.
func (o ConsumerOptions) complete() ConsumerOptions {
	orDefault(&o.WindowBytes, 8<<20)
	orDefault(&o.Silence, 15*time.Second)
	orDefault(&o.Retries, 8)
	return o
}
