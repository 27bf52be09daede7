package demo

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/partitionlog"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// logOrder is what is known of the order in a partition's log after some entries.
type logOrder struct {
	entries int
	batches int
	next    int64             // offset of the next record, if offsets are dense
	last    map[string]uint64 // ticket number by lane
}

// readOrder reads a whole log. It returns an error if offsets are not dense or if the
// ticket numbers of a lane do not rise.
func readOrder(ctx context.Context, conn *nats.Conn, partition protocol.Partition) (logOrder, error) {
	js, err := jetstream.New(conn)
	if err != nil {
		return logOrder{}, err
	}
	log := partitionlog.New(conn, js, partition)
	order := logOrder{last: make(map[string]uint64)}
	for sequence, atEnd := uint64(1), false; !atEnd; {
		var entries []messages.LoggedEntry
		if entries, atEnd, err = log.Read(ctx, sequence, 1000); err != nil {
			return order, err
		}
		for i := range entries {
			if err := order.add(&entries[i].Entry); err != nil {
				return order, fmt.Errorf("log of %s at sequence %d: %w", partition, entries[i].Sequence, err)
			}
			sequence = entries[i].Sequence + 1
		}
	}
	return order, nil
}

func (o *logOrder) add(entry *messages.Entry) error {
	if entry.BaseOffset != o.next {
		return fmt.Errorf("offset %d follows, expected was %d", entry.BaseOffset, o.next)
	}
	o.next = entry.NextOffset()
	o.entries++
	for _, batch := range entry.Batches {
		if last, known := o.last[batch.Lane]; known && batch.Number <= last {
			return fmt.Errorf("lane %s: ticket %d follows ticket %d", batch.Lane, batch.Number, last)
		}
		o.last[batch.Lane] = batch.Number
		o.batches++
	}
	return nil
}
