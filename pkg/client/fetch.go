package client

import (
	"context"
	"iter"
	"time"

	"laneway.dev/pkg/messages"
)

// Record is a record as it stands in a partition.
type Record struct {
	Topic     string
	Partition int32
	Offset    int64
	Time      time.Time // when it was committed
	Headers   []messages.Header
	Value     []byte // shares memory with the other records of its batch
}

// FetchOptions say what to read. Topic is needed.
type FetchOptions struct {
	Topic     string
	Partition int32 // RecordsAll reads them all instead

	// At most one of these says where to start; none is the earliest record.
	From   string // messages.FromEarliest or messages.FromLatest
	Offset *int64
	Time   *time.Time // the first record committed at or after it

	// Follow waits for more at the end. Otherwise the end is where the partition
	// ended when it was asked for.
	Follow bool
	// MaxRecords ends the reading after so many records; 0 is no limit. Together
	// with Follow it waits for as many.
	MaxRecords int64
	// MaxWait is how long to wait, without Follow, if there is nothing at first.
	MaxWait time.Duration

	// WindowBytes bounds what is on its way for each partition; default 8 MiB. One
	// batch may exceed it.
	WindowBytes int64
	// Silence is after how long without a message, not even a heartbeat, to ask
	// again; default 15 s.
	Silence time.Duration
	// Retries is how often to ask again in a row, with growing pauses, without
	// getting anything; default 8, about 7 s. Once it has been served, a fetch with
	// Follow asks for ever.
	Retries int
}

func (o FetchOptions) complete() FetchOptions {
	orDefault(&o.WindowBytes, 8<<20)
	orDefault(&o.Silence, 15*time.Second)
	orDefault(&o.Retries, 8)
	return o
}

// Records reads a partition in order, without a gap. The iteration ends at the
// end of what was asked for, or after it has yielded an error, which is that of
// ctx once ctx has ended. What breaks in between, such as a frontend that is
// gone, is asked for again from the next offset.
func (c *Client) Records(ctx context.Context, o FetchOptions) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		left := newBudget(o.MaxRecords)
		for b, err := range c.batches(ctx, o) {
			if err != nil {
				yield(Record{}, err)
				return
			}
			if !b.records(&left, yield) {
				return
			}
		}
	}
}

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

// fetched is a batch frame as it came, without what its content is checked for.
type fetched struct {
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
	frame, err := messages.NewFrameReader(b.frame)
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
	return messages.Errorf(messages.CodeCorrupt, "%s/%d: the batch at offset %d: %s", b.topic, b.partition, b.offset, reason)
}
