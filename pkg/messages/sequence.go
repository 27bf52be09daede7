package messages

import "math"

// Sequence is the place of a batch among those of an idempotent producer, on
// one partition; the zero value is that of a batch without a producer id.
// Sequences count records and go on at 0 after 2^31-1, as in Kafka.
type Sequence struct {
	ProducerID    int64 // above 0
	ProducerEpoch int16 // not negative
	First         int32 // sequence of the batch's first record, not negative
}

// MaxProducerEpoch is the highest epoch that a producer gets. The one above retires
// the id of a named producer whose epochs are used up.
const MaxProducerEpoch = math.MaxInt16 - 1

// NotSaid is the first unacked sequence of a producer that does not tell it.
const NotSaid int32 = -1

// Last returns the sequence of the last record of a batch, which may be below
// the first one.
func (s Sequence) Last(records uint32) int32 { return AddSequence(s.First, int64(records)-1) }

// AddSequence returns the sequence that comes n records later; n may be negative.
func AddSequence(sequence int32, n int64) int32 {
	return int32((int64(sequence) + n) & math.MaxInt32)
}

// SequencePrecedes reports whether a sequence is another one or lies before it.
// Sequences are a circle, so before is what is no more than half of it away.
func SequencePrecedes(sequence, other int32) bool {
	const half = (math.MaxInt32 + 1) / 2
	return AddSequence(other, -int64(sequence)) < half
}

// ProducerFence is what the log keeps of the init of a named producer: batches
// of older epochs are refused behind it. A batch of its epoch goes on where the
// producer's last one ended.
type ProducerFence struct {
	ProducerID    int64
	ProducerEpoch int16
	Name          string
}

// LoggedFence is a fence as it stands in the log.
type LoggedFence struct {
	ProducerFence
	// Anew says that the owner that wrote it remembered no batch of the producer:
	// whatever the log has of it before does not count any more.
	Anew bool
	// Continues is the producer that had the name on this partition before, or 0. Its
	// history is that of this producer from here on, and its own batches are refused.
	Continues int64
}

// KnownProducer is what a partition remembers of a producer.
type KnownProducer struct {
	ProducerFence
	HasLast bool  // whether a batch of it is in the log
	Last    int32 // sequence of its last record in the log
	Age     int64 // milliseconds since its last batch or fence
}

func encodeSequence(e *encoder, s Sequence) {
	e.int(s.ProducerID)
	e.int(int64(s.ProducerEpoch))
	e.int(int64(s.First))
}

func decodeSequence(d *decoder) Sequence {
	s := Sequence{ProducerID: d.natural(), ProducerEpoch: d.natural16(), First: d.natural32()}
	if s.ProducerID == 0 && s != (Sequence{}) {
		d.fail("a sequence without a producer id")
	}
	return s
}

func decodeFirstUnacked(d *decoder) int32 {
	n := d.int32()
	if n < NotSaid {
		d.fail("first unacked sequence %d", n)
	}
	return n
}

func encodeFence(e *encoder, f *ProducerFence) {
	e.array(3)
	e.int(f.ProducerID)
	e.int(int64(f.ProducerEpoch))
	e.string(f.Name)
}

func decodeFence(d *decoder) ProducerFence {
	d.fields(3)
	return ProducerFence{ProducerID: d.natural(), ProducerEpoch: d.natural16(), Name: d.string()}
}

func encodeLoggedFence(e *encoder, f *LoggedFence) {
	e.array(3)
	encodeFence(e, &f.ProducerFence)
	e.bool(f.Anew)
	e.int(f.Continues)
}

func decodeLoggedFence(d *decoder) LoggedFence {
	d.fields(3)
	return LoggedFence{ProducerFence: decodeFence(d), Anew: d.bool(), Continues: d.natural()}
}

func encodeKnown(e *encoder, k *KnownProducer) {
	e.array(4)
	encodeFence(e, &k.ProducerFence)
	e.bool(k.HasLast)
	e.int(int64(k.Last))
	e.int(k.Age)
}

func decodeKnown(d *decoder) KnownProducer {
	d.fields(4)
	return KnownProducer{ProducerFence: decodeFence(d), HasLast: d.bool(), Last: d.natural32(), Age: d.natural()}
}
