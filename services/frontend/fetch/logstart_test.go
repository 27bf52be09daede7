package fetch

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"laneway.dev/internal/core/segment"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// raise raises the log start offset, and deletes the segments, the manifest and the lists that are no
// longer needed. The log has the history with another record. The frontend hears nothing of it.
func (m *mover) raise(start int64) {
	m.Helper()
	gone := []string{m.writer.Manifest.Key}
	m.writer.Manifest.Start = start
	m.writer.Manifest.Segments = slices.DeleteFunc(slices.Clone(m.writer.Manifest.Segments), func(s segment.Summary) bool {
		if s.End <= start {
			gone = append(gone, s.Key)
		}
		return s.End <= start
	})
	m.values = append(m.values, fmt.Sprint(len(m.values)))
	m.tail = append(m.tail, m.carry(m.writer.Publish(), lines(m.values[len(m.values)-1])))
	for _, key := range gone {
		must(m, m.store.Delete(m.context(), key))
	}
}

// segments commits and archives segments of 4 records each.
func (m *mover) segments(n int) (h messages.History) {
	m.Helper()
	for range n {
		m.commitNumbers(3, false)
		h = m.moveHistory(0)
	}
	return h
}

func TestOffsetBelowTheLogStartIsOutOfRange(t *testing.T) {
	m := newMover(t, nil)
	m.commitNumbers(10, false)
	m.moveHistory(0)
	m.raise(4)
	for _, offset := range []int{0, 3, 13} {
		last := m.fetch(fields{"offset": offset}).fails(protocol.CodeOffsetOutOfRange)
		expectHeader(t, last, protocol.HeaderLogStart, "4")
		expectHeader(t, last, protocol.HeaderEndOffset, "12")
		if offset < 4 {
			expectGap(t, last, int64(offset), 3)
			expectHeader(t, last, protocol.HeaderNextOffset, "4")
		}
	}
	m.fetch(fields{"offset": 4}).wants(protocol.StatusEnd, m.values[4:]...)
	first := m.fetch(fields{"from": "earliest"})
	expectHeader(t, first.next(), protocol.HeaderStartOffset, "4")
	first.wants(protocol.StatusEnd, m.values[5:]...)
}

func TestFetchStartsWhereTheLogStarts(t *testing.T) {
	m := newMover(t, nil)
	m.segments(4)
	first := time.Unix(0, 0)
	for start := int64(1); start <= 15; start++ { // within a segment, and between two
		m.raise(start)
		for name, request := range map[string]fields{"earliest": {"from": "earliest"}, "offset": {"offset": start}, "time": {"time": first}} {
			c := m.fetch(request)
			message := c.next()
			if message.Header.Get(protocol.HeaderOffset) != strconv.FormatInt(start, 10) || string(message.Data) != m.values[start] {
				t.Fatalf("%s, log start %d: got %q %v", name, start, message.Data, message.Header)
			}
			c.wants(protocol.StatusEnd, m.values[start+1:]...)
		}
	}
}

func TestFollowerThatIsOvertakenIsToldWhereItContinues(t *testing.T) {
	for _, start := range []int64{3, 4, 6, 8, 15} {
		m := newMover(t, nil)
		m.segments(4)
		c := m.fetch(fields{"offset": 0, "follow": true, "window_bytes": 1})
		message := c.data()
		m.raise(start)
		c.grant(message, len(message.Data))
		at := int64(1)
		for message = c.beyondBeats(); message.Header.Get(protocol.HeaderStatus) == ""; message = c.beyondBeats() {
			if string(message.Data) != m.values[at] {
				t.Fatalf("got %q, want %q", message.Data, m.values[at])
			}
			at++
			c.grant(message, len(message.Data))
			if at == 4 {
				m.server.Committed(m.tail[len(m.tail)-1].news(m.id)) // the frontend hears of the log start
			}
		}
		expectHeader(t, message, protocol.HeaderError, protocol.CodeOffsetOutOfRange.Kind().Name)
		expectHeader(t, message, protocol.HeaderLogStart, strconv.FormatInt(start, 10))
		expectGap(t, message, at, start-1)
		m.fetch(fields{"offset": start}).wants(protocol.StatusEnd, m.values[start:]...)
	}
}

// Fetches from the earliest record never fail, and miss nothing behind their start, while the log
// start rises.
func TestEarliestIsNeverOutOfRange(t *testing.T) {
	m := newMover(t, nil)
	m.segments(30)
	for start := int64(1); start <= 120; start += 3 {
		var open []*consumer
		for range 3 {
			open = append(open, m.fetch(fields{"from": "earliest", "window_bytes": 1 << 20}))
		}
		m.raise(start)
		for _, c := range open {
			values, last := c.rest()
			switch {
			case len(values) == 0:
				t.Fatalf("no record: %v", last.Header)
			case last.Header.Get(protocol.HeaderStatus) == protocol.StatusEnd:
			case last.Header.Get(protocol.HeaderError) == protocol.CodeOffsetOutOfRange.Kind().Name: // it was overtaken after its start
			default:
				t.Fatalf("%v", last.Header)
			}
			begin, err := strconv.Atoi(values[0])
			must(t, err)
			if !slices.Equal(values, m.values[begin:begin+len(values)]) {
				t.Fatalf("got %q", values)
			}
		}
	}
}
