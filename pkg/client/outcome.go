package client

import (
	"fmt"
	"slices"

	"laneway.dev/pkg/protocol"
)

// BatchAck tells that a batch is in the log. Its Offset is that of the first
// record, the others follow.
type BatchAck struct {
	Ack
	FirstRecord int64 // number of its first record, counted from 0 in the order of Publish
	Records     int
	Bytes       int64 // values and headers
}

// ProduceError is how a producer fails, for good.
type ProduceError struct {
	// Topic and Partition are where a batch failed.
	Topic     string
	Partition int32
	// FirstFailed is the number of the first record without an ack, counted from 0
	// in the order of Publish. All before it are in the log.
	FirstFailed int64
	// Records is how many have no ack. Each of them may or may not be in the log,
	// unless Absent says that none is.
	Records int64
	// Absent says that no record without an ack is in the log: none was sent, or
	// whatever was has been refused.
	Absent bool
	Err    *protocol.Error
}

// Error says which records are in the log for sure.
func (e *ProduceError) Error() string {
	var first string
	switch e.FirstFailed {
	case 0:
		first = "no record is in the log for sure"
	case 1:
		first = "the first record is in the log"
	default:
		first = fmt.Sprintf("the first %d records are in the log", e.FirstFailed)
	}
	are, missing := "are", "acknowledged"
	if e.Records == 1 {
		are = "is"
	}
	if e.Absent {
		missing = "in the log"
	}
	return fmt.Sprintf("%s/%d: %v; %s, %d %s not %s", e.Topic, e.Partition, e.Err, first, e.Records, are, missing)
}

// Unwrap returns what the batch failed with.
func (e *ProduceError) Unwrap() error { return e.Err }

// Summary counts what a producer did.
type Summary struct {
	Records, Bytes int64 // taken; bytes are those of values and headers
	Batches        int64 // sent at least once
	Retries        int64 // sendings beyond the first of each batch

	AckedRecords, AckedBytes, AckedBatches int64
	Duplicates                             int64 // acked batches that were in the log already when they were sent again

	// FirstUnacked is the number of the first record without an ack, counted from 0
	// in the order of Publish: all before it are in the log for sure.
	FirstUnacked int64

	Offsets []OffsetRange // of the acked records, by partition
}

// OffsetRange tells where acked records of a producer lie in a partition.
// Records of other producers may lie between them.
type OffsetRange struct {
	Partition   int32
	First, Last int64
}

// acked counts a batch that is in the log.
func (s *Summary) acked(b *batch) {
	s.AckedRecords += int64(b.records)
	s.AckedBytes += b.bytes
	s.AckedBatches++
	if b.ack.Duplicate {
		s.Duplicates++
	}
	first, last := b.ack.Offset, b.ack.Offset+int64(b.records)-1
	at, found := slices.BinarySearchFunc(s.Offsets, b.ack.Partition, func(r OffsetRange, partition int32) int {
		return int(r.Partition - partition)
	})
	if !found {
		s.Offsets = slices.Insert(s.Offsets, at, OffsetRange{b.ack.Partition, first, last})
		return
	}
	s.Offsets[at].First = min(s.Offsets[at].First, first)
	s.Offsets[at].Last = max(s.Offsets[at].Last, last)
}
