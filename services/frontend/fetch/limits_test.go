package fetch

import (
	"strings"
	"testing"
	"time"

	"laneway.dev/pkg/protocol"
	core "laneway.dev/services/frontend/core/fetch"
)

func TestMaxRecordsEndsTheFetchWithinABatch(t *testing.T) {
	f := newFixture(t, nil)
	f.commit(lines("a", "b"), lines("c", "d"))
	expectOffsets(t, f.fetch(fields{"offset": 0, "max_records": 3}).wants(protocol.StatusEnd, "a", "b", "c"), 3, 4)
	expectOffsets(t, f.fetch(fields{"offset": 1, "max_records": 1}).wants(protocol.StatusEnd, "b"), 2, 4)
	// A frame is not cut, and what lies before the start does not count.
	last := f.fetch(fields{"offset": 1, "max_records": 2, "frames": true}).wants(protocol.StatusEnd, "a", "b", "c", "d")
	expectOffsets(t, last, 4, 4)
	last = f.fetch(fields{"offset": 1, "max_records": 1, "frames": true}).wants(protocol.StatusEnd, "a", "b")
	expectOffsets(t, last, 2, 4)
}

func TestOnlyFirstMessageMayExceedMaxBytes(t *testing.T) {
	f := newFixture(t, nil)
	s := f.commit(lines("aaaa", "bbbb"), lines("cccc"))
	f.fetch(fields{"offset": 0, "max_bytes": 1}).wants(protocol.StatusEnd, "aaaa")
	f.fetch(fields{"offset": 0, "max_bytes": 11}).wants(protocol.StatusEnd, "aaaa", "bbbb")
	f.fetch(fields{"offset": 0, "max_bytes": 12}).wants(protocol.StatusEnd, "aaaa", "bbbb", "cccc")
	f.fetch(fields{"offset": 0, "max_bytes": 1, "frames": true}).wants(protocol.StatusEnd, "aaaa", "bbbb")
	both := len(s.payloads[0]) + len(s.payloads[1])
	f.fetch(fields{"offset": 0, "max_bytes": both - 1, "frames": true}).wants(protocol.StatusEnd, "aaaa", "bbbb")
	f.fetch(fields{"offset": 0, "max_bytes": both, "frames": true}).wants(protocol.StatusEnd, "aaaa", "bbbb", "cccc")
	f.fetch(fields{"offset": 0, "max_bytes": 5, "window_bytes": 100}).wants(protocol.StatusEnd, "aaaa")
}

func TestMaxBytesHasADefault(t *testing.T) {
	f := newFixture(t, nil)
	big := strings.Repeat("x", 400<<10)
	f.commit(lines(big, big, big))
	f.fetch(fields{"offset": 0}).wants(protocol.StatusEnd, big, big)
	f.fetch(fields{"offset": 0, "window_bytes": 1}).wants(protocol.StatusEnd, big, big, big)
}

func TestEmptyRecordsWithoutAWindowAreBounded(t *testing.T) {
	f := newFixture(t, nil)
	f.commit(make([]protocol.Record, core.MaxMessages+10))
	values, last := f.fetch(fields{"offset": 0}).rest()
	if len(values) != core.MaxMessages {
		t.Errorf("%d messages", len(values))
	}
	expectOffsets(t, last, core.MaxMessages, core.MaxMessages+10)
}

func TestEmptyRecordsWithAWindowWaitForAWord(t *testing.T) {
	f := newFixture(t, nil)
	f.commit(make([]protocol.Record, core.MaxUnanswered), make([]protocol.Record, 1))
	c := f.fetch(fields{"offset": 0, "window_bytes": 1000})
	for range core.MaxUnanswered {
		c.data()
	}
	c.grant(c.status(protocol.StatusHeartbeat), 0)
	c.data()
	c.status(protocol.StatusEnd)
}

func TestFetchEndsAtEndOfLogAtRequest(t *testing.T) {
	f := newFixture(t, nil)
	f.commit(lines("a"), lines("b"))
	c := f.fetch(fields{"offset": 0, "window_bytes": 1})
	m := c.data()
	f.tell(lines("later"))
	c.grant(m, 1)
	c.data()
	expectOffsets(t, c.status(protocol.StatusEnd), 2, 3)
}

func TestFetchWaitsForTheFirstRecord(t *testing.T) {
	f := newFixture(t, nil)
	c := f.fetch(fields{"offset": 0, "max_wait_ms": 60000})
	f.waitOpen(1)
	f.tell(lines("a", "b"))
	c.wants(protocol.StatusEnd, "a", "b")
}

func TestNothingWithinMaxWait(t *testing.T) {
	f := newFixture(t, nil)
	f.commit(lines("a"))
	expectOffsets(t, f.fetch(fields{"from": "latest", "max_wait_ms": 20}).wants(protocol.StatusNoRecords), 1, 1)
	expectOffsets(t, f.fetch(fields{"offset": 0, "max_wait_ms": 60000}).wants(protocol.StatusEnd, "a"), 1, 1)
}

func TestTooManyFetchesAreRefused(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.MaxFetches = 2 })
	first := f.fetch(fields{"offset": 0, "follow": true, "max_records": 1})
	second := f.fetch(fields{"offset": 0, "follow": true, "max_records": 1})
	f.fetch(fields{"offset": 0}).fails(protocol.CodeTooManyFetches)
	if n := f.server.OpenFetches(); n != 2 {
		t.Errorf("%d open", n)
	}
	f.waitOpen(2)
	f.tell(lines("a"))
	first.wants(protocol.StatusEnd, "a")
	second.wants(protocol.StatusEnd, "a")
	f.fetch(fields{"offset": 0}).wants(protocol.StatusEnd, "a")
}

func TestLoadsAreGivenBack(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.StorePatience = time.Second })
	f.commit(lines("a"))
	for range maxLoads {
		f.fetch(fields{"offset": 0, "window_bytes": 1, "follow": true}).data()
	}
	f.fetch(fields{"offset": 0}).wants(protocol.StatusEnd, "a")
}
