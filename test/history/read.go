// Package history reads back what a partition holds, as a consumer sees it and
// as it stands in the log, and compares it with what producers were answered.
package history

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/partitionlog"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/test/load"
)

// Record is a record as a consumer gets it.
type Record struct {
	Offset int64
	Gap    int64  // so many offsets before it hold no records, as reported to the consumer
	Value  string // without what load.Pad has added
	Header nats.Header
}

// Records fetches all records of a partition, as any NATS client can.
func Records(ctx context.Context, conn *nats.Conn, partition protocol.Partition) ([]Record, error) {
	inbox := conn.NewInbox()
	answers, err := conn.SubscribeSync(inbox)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answers.Unsubscribe() }()
	if err := answers.SetPendingLimits(-1, -1); err != nil {
		return nil, err
	}
	var records []Record
	gap := int64(0) // behind the last record
	for next := int64(0); ; {
		request, err := json.Marshal(protocol.FetchRequest{Offset: &next})
		if err != nil {
			return nil, err
		}
		if err := conn.PublishRequest(partition.FetchSubject(), inbox, request); err != nil {
			return nil, err
		}
		part, status, err := untilStatus(ctx, answers, gap)
		records = append(records, part...)
		switch {
		case err != nil:
			return records, err
		case status.next >= status.end:
			return records, nil
		case status.next <= next:
			return records, fmt.Errorf("a fetch from offset %d ends at %d, the partition at %d", next, status.next, status.end)
		}
		next, gap = status.next, status.gap
	}
}

// status is how a fetch ended.
type status struct {
	next, end int64
	gap       int64 // behind the last record
}

// untilStatus returns the records of a fetch, which follow a gap.
func untilStatus(ctx context.Context, answers *nats.Subscription, gap int64) ([]Record, status, error) {
	var records []Record
	for {
		m, err := answers.NextMsgWithContext(ctx)
		if err != nil {
			return records, status{}, fmt.Errorf("fetch: %w", err)
		}
		if code := m.Header.Get(protocol.HeaderStatus); code != "" && m.Header.Get(protocol.HeaderOffset) == "" {
			if code == protocol.StatusGap {
				from, fromErr := number(m, protocol.HeaderGapFrom)
				to, toErr := number(m, protocol.HeaderGapTo)
				if fromErr != nil || toErr != nil {
					return records, status{}, fmt.Errorf("fetch: the status %v does not say where the gap is", m.Header)
				}
				gap += to - from + 1
				continue
			}
			if code != protocol.StatusEnd {
				return records, status{}, fmt.Errorf("fetch: %s %s", code, m.Header.Get(protocol.HeaderDesc))
			}
			next, nextErr := number(m, protocol.HeaderNextOffset)
			end, endErr := number(m, protocol.HeaderEndOffset)
			if nextErr != nil || endErr != nil {
				return records, status{}, fmt.Errorf("fetch: the status %v does not say where it ends", m.Header)
			}
			return records, status{next, end, gap}, nil
		}
		offset, err := number(m, protocol.HeaderOffset)
		if err != nil {
			return records, status{}, fmt.Errorf("fetch: %w in %v", err, m.Header)
		}
		value := string(m.Data)
		if short, err := load.Unpad(value); err == nil {
			value = short // else it is not what any producer has sent, which the checks find
		}
		records = append(records, Record{offset, gap, value, m.Header})
		gap = 0
	}
}

func number(m *nats.Msg, header string) (int64, error) {
	return strconv.ParseInt(m.Header.Get(header), 10, 64)
}

// Entries returns the log of a partition. Its beginning may be purged, even while it is read.
func Entries(ctx context.Context, conn *nats.Conn, partition protocol.Partition) ([]messages.LoggedEntry, error) {
	js, err := jetstream.New(conn)
	if err != nil {
		return nil, err
	}
	const atATime = 256
	log := partitionlog.New(conn, js, partition)
	var all []messages.LoggedEntry
	for from := uint64(1); ; {
		entries, atEnd, err := log.Read(ctx, from, atATime)
		if err != nil {
			return nil, err
		}
		if len(all) > 0 && len(entries) > 0 && entries[0].Sequence > from {
			all = nil
		}
		all = append(all, entries...)
		if len(entries) > 0 {
			from = entries[len(entries)-1].Sequence + 1
		}
		if atEnd || len(entries) == 0 {
			// What this process knows of the journal may be old.
			if end, err := log.Confirm(ctx, from-1); err != nil || !end.Behind {
				return all, err
			}
		}
	}
}

// Verify reads a partition back and checks everything that must hold of it,
// whatever happened: offsets are dense, tickets in order, what was sent by a
// producer is in the order of sending, nothing is there twice, and what was
// acknowledged is there at its offset. It returns the records.
func Verify(ctx context.Context, conn *nats.Conn, partition protocol.Partition, sent map[string][]load.Batch) ([]Record, error) {
	records, err := Records(ctx, conn, partition)
	if err != nil {
		return nil, err
	}
	entries, err := Entries(ctx, conn, partition)
	if err != nil {
		return nil, err
	}
	return records, errors.Join(Dense(records), Log(entries), SendOrder(records), Answers(sent), Acknowledged(records, sent))
}
