package history

import (
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/test/load"
)

// Complete checks that each producer has its records 0 to n-1 in order, each
// once, and that there are no others.
func Complete(records []Record, want map[string]int) error {
	var f faults
	next := make(map[string]int)
	for _, r := range records {
		producer, n, err := load.ParseValue(r.Value)
		switch {
		case err != nil:
			f.add("offset %d: %w", r.Offset, err)
		case n != next[producer]:
			f.add("%w: %q at offset %d, record %d of the producer comes next", ErrDisorder, r.Value, r.Offset, next[producer])
		}
		next[producer] = max(next[producer], n+1)
	}
	for producer, n := range want {
		if next[producer] != n {
			f.add("producer %s has %d records, %d were acknowledged", producer, next[producer], n)
		}
		delete(next, producer)
	}
	for producer := range next {
		f.add("producer %q is not known", producer)
	}
	return f.err()
}

// Sequences checks that the batches of each idempotent producer follow each other
// in the log without a gap, within an epoch and behind a fence.
func Sequences(entries []messages.LoggedEntry) error {
	var f faults
	next := make(map[int64]int32)
	epochs := make(map[int64]int16)
	for i := range entries {
		for _, b := range entries[i].Entry.Batches {
			s := b.Sequence
			if s.ProducerID == 0 {
				continue
			}
			if want, known := next[s.ProducerID]; known && s.First != want {
				f.add("%w: entry %d has sequence %d of producer %d, %d comes next", ErrDisorder, entries[i].Sequence, s.First, s.ProducerID, want)
			}
			if s.ProducerEpoch < epochs[s.ProducerID] {
				f.add("entry %d is of epoch %d of producer %d behind epoch %d", entries[i].Sequence, s.ProducerEpoch, s.ProducerID, epochs[s.ProducerID])
			}
			next[s.ProducerID] = protocol.AddSequence(s.Last(b.Records), 1)
			epochs[s.ProducerID] = max(epochs[s.ProducerID], s.ProducerEpoch)
		}
		for _, fence := range entries[i].Entry.Fences {
			epochs[fence.ProducerID] = max(epochs[fence.ProducerID], fence.ProducerEpoch)
		}
	}
	return f.err()
}
