package client

import (
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"laneway.dev/pkg/delivery"
	"laneway.dev/pkg/protocol"
)

// ProducerOptions configure a producer. The zero value is good.
type ProducerOptions struct {
	// Name makes the producer the next instance of the one of this name: it fences
	// the instance before, and goes on where the log ends, see
	// Producer.NextSequence. Without a name the producer is a new one.
	Name string
	// Partition is where all records go; nil is where their keys say, and without
	// keys to all partitions in turn, a batch each. Records keep their order within
	// a partition only.
	Partition *int32

	// BatchBytes bounds a batch frame; default 256 KiB. A record that needs more
	// goes alone.
	BatchBytes int
	// BatchRecords bounds the records of a batch; default 10,000.
	BatchRecords int
	// Linger is how long a record waits at least for others before its batch is
	// sent, unless it is full. With 0, the default, a batch is sent as soon as there
	// is room in flight; while there is none, records gather by themselves.
	Linger time.Duration
	// MaxInFlight bounds the batches of a partition that are sent and not acked.
	// Default and most is delivery.Span, 5: a partition recognises no more.
	MaxInFlight int
	// BufferBytes bounds the records that are taken and not acked; default 32 MiB.
	// Publish waits when it is reached.
	BufferBytes int

	// AttemptTimeout is how long to wait for the answer to a batch before it is sent
	// again; default 5 s. It grows up to 35 s while answers are slow.
	AttemptTimeout time.Duration
	// DeliveryTimeout bounds how long a batch may take to its ack, over all attempts,
	// and whether there is a connection or not; default 2 min. Then the producer
	// fails. It counts from the batch's turn, when it is full or has lingered and
	// fewer than MaxInFlight batches before it, on its partition, have no ack. It
	// must be shorter than the topic's producer-expiry.
	DeliveryTimeout time.Duration

	// TracerProvider makes the send span of each batch, from its first sending to
	// its ack: a child of the span in the context of its first Publish. nil makes none.
	TracerProvider trace.TracerProvider
	// OnRetry is called when batches of a partition are going to be sent again, with
	// what the first of them failed with: the producer does not fail by it, but waits.
	// It must not wait for the producer.
	OnRetry func(partition int32, err *protocol.Error)
	// OnAck is called for each batch that is in the log, in the order of sending
	// within a partition. It must not wait for the producer.
	OnAck func(BatchAck)
}

// complete fills in defaults.
func (o ProducerOptions) complete() ProducerOptions {
	orDefault(&o.BatchBytes, 256<<10)
	orDefault(&o.BatchRecords, 10_000)
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

// window returns the settings of the window of a partition.
func (o ProducerOptions) window(first int32, random func() float64) delivery.Settings {
	return delivery.Settings{
		First: first, Batches: o.MaxInFlight, Random: random,
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
