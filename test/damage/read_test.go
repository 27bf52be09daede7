package damage

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/protocol"
)

// The status of a gap.
const (
	statusGap     = "110"
	headerGapFrom = "Laneway-Gap-From"
	headerGapTo   = "Laneway-Gap-To"
)

// delivered is what a consumer gets of a partition.
type delivered struct {
	records map[int64]string
	errors  []string     // statuses that are errors
	gaps    []gapOfFetch // what a status says holds no records
	end     int64        // after the last record that it knows of
	doubles []int64      // offsets that came twice with different values
}

// gapOfFetch is a range of offsets without the last one.
type gapOfFetch struct{ from, to int64 }

// covers reports whether a gap names an offset.
func (d *delivered) covers(offset int64) bool {
	for _, g := range d.gaps {
		if offset >= g.from && offset < g.to {
			return true
		}
	}
	return false
}

// read fetches a partition from its beginning to its end, and continues after what
// cannot be read as far as the statuses say where.
func read(ctx context.Context, conn *nats.Conn, p protocol.Partition) (*delivered, error) {
	d := &delivered{records: make(map[int64]string)}
	for next := int64(0); next >= 0; {
		var err error
		if next, err = d.fetch(ctx, conn, p, next); err != nil {
			return d, err
		}
	}
	return d, nil
}

// fetch is one fetch; it returns where the next one begins, negative if nothing is
// left to be read.
func (d *delivered) fetch(ctx context.Context, conn *nats.Conn, p protocol.Partition, from int64) (int64, error) {
	answers, err := conn.SubscribeSync(conn.NewInbox())
	if err != nil {
		return 0, err
	}
	defer func() { _ = answers.Unsubscribe() }()
	if err := answers.SetPendingLimits(-1, -1); err != nil {
		return 0, err
	}
	request, err := json.Marshal(protocol.FetchRequest{Offset: &from})
	if err != nil {
		return 0, err
	}
	if err := conn.PublishRequest(p.FetchSubject(), answers.Subject, request); err != nil {
		return 0, err
	}
	for {
		m, err := answers.NextMsgWithContext(ctx)
		if err != nil {
			return 0, fmt.Errorf("a fetch from %d: %w", from, err)
		}
		if text := m.Header.Get(protocol.HeaderOffset); text != "" {
			offset, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				return 0, err
			}
			if before, twice := d.records[offset]; twice && before != string(m.Data) {
				d.doubles = append(d.doubles, offset)
			}
			d.records[offset] = string(m.Data)
			d.end = max(d.end, offset+1)
			continue
		}
		if next, done := d.status(m, from); done {
			return next, nil
		}
	}
}

// status takes a status, and reports whether the fetch has ended.
func (d *delivered) status(m *nats.Msg, from int64) (next int64, done bool) {
	number := func(header string) int64 {
		n, err := strconv.ParseInt(m.Header.Get(header), 10, 64)
		if err != nil {
			return -1
		}
		return n
	}
	next = number(protocol.HeaderNextOffset)
	switch status := m.Header.Get(protocol.HeaderStatus); status {
	case protocol.StatusHeartbeat:
		return 0, false
	case statusGap:
		d.gaps = append(d.gaps, gapOfFetch{number(headerGapFrom), number(headerGapTo) + 1})
		return 0, false
	case protocol.StatusEnd:
		d.end = max(d.end, number(protocol.HeaderEndOffset))
		if next < d.end && next > from {
			return next, true
		}
		return -1, true
	default:
		d.errors = append(d.errors, fmt.Sprintf("%s %s: %s", status, m.Header.Get(protocol.HeaderError), m.Header.Get(protocol.HeaderDesc)))
		if m.Header.Get(protocol.HeaderError) == "CORRUPT" && next > from {
			return next, true
		}
		return -1, true
	}
}
