package fetch

import (
	"fmt"
	"testing"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	core "laneway.dev/services/frontend/core/fetch"
)

func TestFetchFromEarliestReturnsEverything(t *testing.T) {
	f := newFixture(t, nil)
	f.commit(lines("a", "b"), lines("c"))
	f.commit() // a mark without batches
	f.commit(lines(""), lines("d"))
	last := f.fetch(fields{"from": "earliest"}).wants(protocol.StatusEnd, "a", "b", "c", "", "d")
	expectOffsets(t, last, 5, 5)
}

func TestFetchOfAnEmptyPartitionEndsAtOnce(t *testing.T) {
	f := newFixture(t, nil)
	for _, request := range []fields{
		{"from": "earliest"}, {"from": "latest"}, {"offset": 0}, {"time": time.Now()}, {"time": time.Unix(0, 0)},
	} {
		expectOffsets(t, f.fetch(request).wants(protocol.StatusEnd), 0, 0)
	}
}

func TestFetchFromEveryOffset(t *testing.T) {
	f := newFixture(t, nil)
	var all []string
	for e := range 9 {
		f.commit()
		var batches [][]protocol.Record
		for range e % 4 {
			batches = append(batches, lines(fmt.Sprint(len(all)), fmt.Sprint(len(all)+1)))
			all = append(all, fmt.Sprint(len(all)), fmt.Sprint(len(all)+1))
		}
		f.commit(batches...)
	}
	for _, cold := range []bool{true, false} {
		for offset := range len(all) + 1 {
			if cold {
				f.server.entries.cache.InvalidateAll()
			}
			last := f.fetch(fields{"offset": offset}).wants(protocol.StatusEnd, all[offset:]...)
			expectOffsets(t, last, int64(len(all)), int64(len(all)))
		}
	}
}

func TestFetchOutsideThePartitionIsOutOfRange(t *testing.T) {
	f := newFixture(t, nil)
	f.commit(lines("a", "b"))
	for _, offset := range []int64{-1, 3, 1 << 62} {
		m := f.fetch(fields{"offset": offset}).fails(protocol.CodeOffsetOutOfRange)
		expectHeader(t, m, protocol.HeaderLogStart, "0")
		expectHeader(t, m, protocol.HeaderEndOffset, "2")
	}
}

func TestFetchByTimeStartsAtFirstRecordNotOlder(t *testing.T) {
	f := newFixture(t, nil)
	f.commit(lines("a"))
	f.commit(lines("b"))
	f.commit()
	f.commit(lines("c"))
	entries, _, err := f.log.Read(f.context(), 2, 10)
	must(t, err)
	f.fetch(fields{"time": time.Unix(0, 0)}).wants(protocol.StatusEnd, "a", "b", "c")
	f.fetch(fields{"time": entries[1].Entry.At()}).wants(protocol.StatusEnd, "b", "c")
	f.fetch(fields{"time": entries[1].Entry.At().Add(1)}).wants(protocol.StatusEnd, "c")
	expectOffsets(t, f.fetch(fields{"time": time.Now().Add(time.Hour)}).wants(protocol.StatusEnd), 3, 3)
}

func TestFollowFromFutureTimeSkipsEarlierRecords(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.Heartbeat = 20 * time.Millisecond })
	f.commit(lines("a"))
	start := time.Now().Add(time.Hour)
	c := f.fetch(fields{"time": start, "follow": true, "max_records": 1})
	idle := c.status(protocol.StatusHeartbeat)
	c.grant(idle, 0)
	expectHeader(t, idle, protocol.HeaderNextOffset, "") // "early" is passed over
	for i, at := range []time.Time{start.Add(-1), start} {
		frame := protocol.EncodeRecord(protocol.Record{Value: []byte([]string{"early", "late"}[i])})
		entry := f.stage([][]byte{frame}, []uint32{1})
		entry.Time = at.UnixNano()
		f.server.entries.put(f.id, messages.LoggedEntry{Sequence: uint64(3 + i), Entry: entry})
	}
	f.server.partitionOf(f.id).advance(core.LogState{Last: 4, Readable: 4, Offset: 3})
	c.wants(protocol.StatusEnd, "late")
}

func TestRecordsCarryTheirHeadersAndPlace(t *testing.T) {
	f := newFixture(t, nil)
	f.commit([]protocol.Record{{Value: []byte("plain")}, {
		Headers: []protocol.Header{
			{Name: "Kind", Value: "x"},
			{Name: "kind", Value: "y"},
			{Name: "Kind", Value: "z"},
			{Name: "Bytes", Value: "\xff\x00"},
			{Name: protocol.HeaderSubject, Value: "a.b"},
		},
		Value: []byte("v"),
	}})
	entries, _, err := f.log.Read(f.context(), 2, 1)
	must(t, err)
	c := f.fetch(fields{"offset": 0})
	first, second := c.data(), c.data()
	if len(first.Header) != 4 || first.Reply != "" {
		t.Errorf("headers %v, reply %q", first.Header, first.Reply)
	}
	expectHeader(t, second, protocol.HeaderTopic, "orders")
	expectHeader(t, second, protocol.HeaderPartition, "0")
	expectHeader(t, second, protocol.HeaderOffset, "1")
	expectHeader(t, second, protocol.HeaderTime, entries[0].Entry.At().UTC().Format(time.RFC3339Nano))
	expectHeader(t, second, "Kind", "x")
	expectHeader(t, second, "kind", "y")
	expectHeader(t, second, "Bytes", "\xff\x00")
	expectHeader(t, second, protocol.HeaderSubject, "a.b")
	if len(second.Header["Kind"]) != 2 || len(second.Header) != 8 {
		t.Errorf("headers are %v", second.Header)
	}
	c.status(protocol.StatusEnd)
}

func TestFramesCarryWholeBatches(t *testing.T) {
	f := newFixture(t, nil)
	s := f.commit(lines("a", "b", "c"), lines("d"))
	c := f.fetch(fields{"offset": 1, "frames": true})
	m := c.data()
	expectHeader(t, m, protocol.HeaderContentType, protocol.ContentTypeBatch)
	expectHeader(t, m, protocol.HeaderOffset, "0")
	expectHeader(t, m, protocol.HeaderRecords, "3")
	if string(m.Data) != string(s.payloads[0]) {
		t.Error("the frame is not what was stored")
	}
	expectHeader(t, c.data(), protocol.HeaderOffset, "3")
	expectOffsets(t, c.status(protocol.StatusEnd), 4, 4)
}

func TestInvalidRequestsAreRefused(t *testing.T) {
	f := newFixture(t, nil)
	for _, body := range []string{
		"", "x", "[]", "null", "{}", `{"from":"earliest"} {}`, `{"from":"middle"}`, `{"offset":"1"}`, `{"offest":1}`,
		`{"offset":1,"from":"latest"}`, `{"from":"latest","time":"2026-01-01T00:00:00Z"}`, `{"time":"yesterday"}`,
		`{"offset":0,"max_bytes":-1}`, `{"offset":0,"max_records":-1}`, `{"offset":0,"max_wait_ms":-1}`,
		`{"offset":0,"window_bytes":-1}`, `{"offset":99999999999999999999}`,
	} {
		f.fetchRaw([]byte(body)).fails(protocol.CodeInvalidRequest)
	}
}

func TestRequestWithoutReplyIsDroppedAndCounted(t *testing.T) {
	f := newFixture(t, nil)
	must(t, f.conn.Publish(f.id.FetchSubject(), []byte(`{"offset":0}`)))
	f.fetch(fields{"offset": 0}).wants(protocol.StatusEnd)
	if n := f.server.Stats().Dropped; n != 1 {
		t.Errorf("%d dropped", n)
	}
}
