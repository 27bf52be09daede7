package client

import (
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"laneway.dev/pkg/messages"
)

// ProducerOptions configure a producer. The zero value is good.
type ProducerOptions struct {
	// Partition is where the records go; nil is all partitions in turn, a batch
	// each. Records keep their order within a partition only.
	Partition *int32
	// BatchBytes bounds a batch frame; default 256 KiB. A record that needs more
	// goes alone.
	BatchBytes int
	// Linger is how long a record waits for others before its batch is sent. 0 is
	// until the batch is full, or Flush.
	Linger time.Duration
	// MaxInFlight bounds the batches that are sent and not acked; default 32.
	MaxInFlight int
	// MaxInFlightBytes bounds their bytes, except that one batch more may be on
	// its way; default 8 MiB.
	MaxInFlightBytes int
	// Timeout bounds the wait for the answer of a batch; default 35 s, which is
	// more than Laneway's own deadline.
	Timeout time.Duration
	// StartTimeout bounds how long the first batch of a partition is sent again
	// while nobody receives it; default 5 s.
	StartTimeout time.Duration
	// TracerProvider makes the send span of each batch, a child of the span in
	// the context of the batch's first Append. nil makes none.
	TracerProvider trace.TracerProvider
	// OnAck is called for each batch that is in the log, in the order of sending.
	// It must not wait for the producer.
	OnAck func(Ack)
}

// complete fills in defaults.
func (o ProducerOptions) complete() ProducerOptions {
	orDefault(&o.BatchBytes, 256<<10)
	orDefault(&o.MaxInFlight, 32)
	orDefault(&o.MaxInFlightBytes, 8<<20)
	orDefault(&o.Timeout, 35*time.Second)
	orDefault(&o.StartTimeout, 5*time.Second)
	if o.TracerProvider == nil {
		o.TracerProvider = noop.NewTracerProvider()
	}
	if o.OnAck == nil {
		o.OnAck = func(Ack) {}
	}
	return o
}

func orDefault[T int | int64 | time.Duration](value *T, standard T) {
	if *value <= 0 {
		*value = standard
	}
}

// targets returns the partitions that the producer sends to.
func (o ProducerOptions) targets(topic messages.Topic) ([]messages.Partition, error) {
	if o.Partition != nil {
		n := *o.Partition
		if n < 0 || int(n) >= topic.Partitions {
			return nil, noPartition(topic, n)
		}
		return []messages.Partition{topic.Partition(int(n))}, nil
	}
	all := make([]messages.Partition, topic.Partitions)
	for n := range all {
		all[n] = topic.Partition(n)
	}
	return all, nil
}

func noPartition(topic messages.Topic, n int32) error {
	return messages.Errorf(messages.CodeUnknownTopic, "%s has the partitions 0 to %d, not %d", topic.Name, topic.Partitions-1, n)
}
