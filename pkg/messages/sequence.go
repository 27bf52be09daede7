package messages

import (
	"laneway.dev/pkg/internal/codec"
	"laneway.dev/pkg/protocol"
)

// Sequence is the place of a batch among those of an idempotent producer on one
// partition. The zero value is that of a batch without a producer id. Producer
// sequences count records, and 0 follows 2^31-1, as in Kafka.
type Sequence struct {
	ProducerID    int64 // above 0
	ProducerEpoch int16 // not negative
	First         int32 // sequence of the batch's first record, not negative
}

// Last returns the sequence of the last record of a batch, which may be below
// the first one.
func (s Sequence) Last(records uint32) int32 { return protocol.AddSequence(s.First, int64(records)-1) }

// ProducerFence is the log's record of the init of a named producer. After it,
// batches of older epochs are refused, and the first batch of its own epoch
// continues where the producer's last batch ended.
type ProducerFence struct {
	ProducerID    int64
	ProducerEpoch int16
	Name          string
}

// LoggedFence is a fence as it stands in the log.
type LoggedFence struct {
	ProducerFence
	// Anew means that the owner that wrote the fence remembered no batch of the
	// producer, so its earlier batches in the log do not count any more.
	Anew bool
	// Continues is the id of the producer that had the name on this partition before, or
	// 0. This producer takes over its history, and batches of that id are refused.
	Continues int64
}

// KnownProducer is what a partition remembers of a producer.
type KnownProducer struct {
	ProducerFence
	HasLast bool  // whether a batch of it is in the log
	Last    int32 // sequence of its last record in the log
	Age     int64 // milliseconds since its last batch or fence
}

func encodeSequence(e *codec.Encoder, s Sequence) {
	e.Int(s.ProducerID)
	e.Int(int64(s.ProducerEpoch))
	e.Int(int64(s.First))
}

func decodeSequence(d *codec.Decoder) Sequence {
	s := Sequence{ProducerID: d.Natural(), ProducerEpoch: d.Natural16(), First: d.Natural32()}
	if s.ProducerID == 0 && s != (Sequence{}) {
		d.Fail("a sequence without a producer id")
	}
	return s
}

func decodeFirstUnacked(d *codec.Decoder) int32 {
	n := d.Int32()
	if n < protocol.NotSaid {
		d.Fail("first unacked sequence %d", n)
	}
	return n
}

func encodeFence(e *codec.Encoder, f *ProducerFence) {
	e.Array(3)
	e.Int(f.ProducerID)
	e.Int(int64(f.ProducerEpoch))
	e.Text(f.Name)
}

func decodeFence(d *codec.Decoder) ProducerFence {
	d.Fields(3)
	return ProducerFence{ProducerID: d.Natural(), ProducerEpoch: d.Natural16(), Name: d.Text()}
}

func encodeLoggedFence(e *codec.Encoder, f *LoggedFence) {
	e.Array(3)
	encodeFence(e, &f.ProducerFence)
	e.Bool(f.Anew)
	e.Int(f.Continues)
}

func decodeLoggedFence(d *codec.Decoder) LoggedFence {
	d.Fields(3)
	return LoggedFence{ProducerFence: decodeFence(d), Anew: d.Bool(), Continues: d.Natural()}
}

func encodeKnown(e *codec.Encoder, k *KnownProducer) {
	e.Array(4)
	encodeFence(e, &k.ProducerFence)
	e.Bool(k.HasLast)
	e.Int(int64(k.Last))
	e.Int(k.Age)
}

func decodeKnown(d *codec.Decoder) KnownProducer {
	d.Fields(4)
	return KnownProducer{ProducerFence: decodeFence(d), HasLast: d.Bool(), Last: d.Natural32(), Age: d.Natural()}
}
