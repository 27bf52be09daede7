package protocol

import "math"

// MaxProducerEpoch is the highest producer epoch that a producer gets. The one above it
// retires the producer id of a name whose epochs are used up.
const MaxProducerEpoch = math.MaxInt16 - 1

// NotSaid is the value of first unacked for a producer that does not send it.
const NotSaid int32 = -1

// AddSequence returns the producer sequence n records after sequence. n may be negative.
// Producer sequences wrap: 0 follows 2^31-1.
func AddSequence(sequence int32, n int64) int32 {
	return int32((int64(sequence) + n) & math.MaxInt32)
}

// SequencePrecedes reports whether a producer sequence is equal to another one or before
// it. Producer sequences wrap, so it is before the other one if the distance up to that one
// is less than half of their range.
func SequencePrecedes(sequence, other int32) bool {
	const half = (math.MaxInt32 + 1) / 2
	return AddSequence(other, -int64(sequence)) < half
}
