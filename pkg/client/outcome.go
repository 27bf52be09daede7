package client

import (
	"fmt"
	"slices"

	"laneway.dev/pkg/messages"
)

// Ack tells that a batch is in the log.
type Ack struct {
	FirstRecord int64 // number of its first record, counted from 0 in the order of Append
	Records     int
	Bytes       int64 // values and headers
	Partition   int32
	Offset      int64 // of its first record
	Ticket      uint64
	Epoch       uint64 // of the frontend that issued the ticket
}

// ProduceError is how a producer fails, for good. The records before
// FirstFailed are in the log. Those of the failed batch are in it or not, as Err
// says; those that were appended after it may or may not be in it.
type ProduceError struct {
	Topic       string
	Partition   int32
	FirstFailed int64 // number of the first record of the failed batch
	Records     int   // in the failed batch
	Err         error
}

// Error says which records are in the log for sure.
func (e *ProduceError) Error() string {
	return fmt.Sprintf("%s/%d: the first %d records are in the log, the next batch, of %d records, failed: %v",
		e.Topic, e.Partition, e.FirstFailed, e.Records, e.Err)
}

// Unwrap returns what the batch failed with.
func (e *ProduceError) Unwrap() error { return e.Err }

// Summary counts what a producer did.
type Summary struct {
	Records, Bytes int64 // appended; bytes are those of values and headers
	Batches        int64 // sent at least once

	// Acked is a prefix of what was appended: the first AckedRecords records
	// are in the log for sure.
	AckedRecords, AckedBytes, AckedBatches int64

	Offsets []OffsetRange // of the acked records, by partition
}

// OffsetRange tells where acked records of a producer lie in a partition.
// Records of other producers may lie between them.
type OffsetRange struct {
	Partition   int32
	First, Last int64
}

// acked counts a batch that is in the log.
func (s *Summary) acked(a Ack) {
	s.AckedRecords += int64(a.Records)
	s.AckedBytes += a.Bytes
	s.AckedBatches++
	last := a.Offset + int64(a.Records) - 1
	at, found := slices.BinarySearchFunc(s.Offsets, a.Partition, func(r OffsetRange, partition int32) int {
		return int(r.Partition - partition)
	})
	if !found {
		s.Offsets = slices.Insert(s.Offsets, at, OffsetRange{a.Partition, a.Offset, last})
		return
	}
	s.Offsets[at].First = min(s.Offsets[at].First, a.Offset)
	s.Offsets[at].Last = max(s.Offsets[at].Last, last)
}

// recordOverhead bounds what a record needs in a frame beside its size.
func recordOverhead(r *messages.Record) int { return 11 + 10*len(r.Headers) }
