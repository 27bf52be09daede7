package protocol

import "math"

// MaxProducerEpoch is the highest epoch that a producer gets. The one above retires
// the id of a named producer whose epochs are used up.
const MaxProducerEpoch = math.MaxInt16 - 1

// NotSaid is the first unacked sequence of a producer that does not tell it.
const NotSaid int32 = -1

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
