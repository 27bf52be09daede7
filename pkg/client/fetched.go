package client

import (
	"time"

	"laneway.dev/pkg/protocol"
)

// budget counts down how many records are still wanted.
type budget struct {
	left int64 // never 0 at first; negative is no limit
}

func newBudget(limit int64) budget {
	if limit <= 0 {
		return budget{-1}
	}
	return budget{limit}
}

// spend takes one; false if it was the last.
func (b *budget) spend() bool {
	b.left--
	return b.left != 0
}

// fetched is a batch frame as it came, without what its content is checked for, or
// a gap.
type fetched struct {
	gap       *Gap // not nil: nothing else counts
	topic     string
	partition int32
	offset    int64 // of the frame's first record
	count     int64 // of its records
	from      int64 // records below it are not wanted
	time      time.Time
	frame     []byte
}

func (b *fetched) next() int64 { return b.offset + b.count }

// records yields the wanted records; false if the iteration is over.
func (b *fetched) records(left *budget, yield func(Record, error) bool) bool {
	frame, err := protocol.NewFrameReader(b.frame)
	if err != nil {
		yield(Record{}, b.corrupt(err.Error()))
		return false
	}
	defer frame.Close()
	if int64(frame.Records()) != b.count {
		yield(Record{}, b.corrupt("its number of records is not the one announced"))
		return false
	}
	offset := b.offset
	for r, ok := frame.Next(); ok; r, ok = frame.Next() {
		if offset >= b.from {
			record := Record{
				Topic: b.topic, Partition: b.partition, Offset: offset, Time: b.time, Headers: r.Headers, Value: r.Value,
			}
			if !yield(record, nil) || !left.spend() {
				return false
			}
		}
		offset++
	}
	if frame.Err() != nil {
		yield(Record{}, b.corrupt(frame.Err().Error()))
		return false
	}
	return true
}

func (b *fetched) corrupt(reason string) error {
	return protocol.Errorf(protocol.CodeCorrupt, "%s/%d: the batch at offset %d: %s", b.topic, b.partition, b.offset, reason)
}
