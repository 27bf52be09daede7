package fetch

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"laneway.dev/internal/partitionlog"
	"laneway.dev/pkg/protocol"
)

// waitOpen returns when so many fetches are open and the first one has looked where
// the log ends.
func (f *fixture) waitOpen(n int) {
	f.Helper()
	f.until(func() bool {
		known, _, _ := f.server.partitionOf(f.id).watch()
		return known.Valid && f.server.OpenFetches() == n
	})
}

// until yields to others until the condition holds.
func (f *fixture) until(holds func() bool) {
	f.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for !holds() {
		select {
		case <-tick.C:
		case <-late:
			f.Fatal("it did not happen")
		}
	}
}

func (s *Server) partitionOf(id protocol.Partition) *partition {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.partitions[id]
}

func TestFollowWakesUpOnEachCommit(t *testing.T) {
	f := newFixture(t, nil)
	f.commit(lines("before"))
	c := f.fetch(fields{"from": "latest", "follow": true, "window_bytes": 1000})
	f.waitOpen(1)
	m := f.fetch(fields{"from": "latest"}).status(protocol.StatusEnd)
	expectOffsets(t, m, 1, 1)
	for i := range 20 {
		value := fmt.Sprint(i)
		f.tell(lines(value))
		m := c.data()
		if string(m.Data) != value {
			t.Fatalf("%q came, want %q", m.Data, value)
		}
		c.grant(m, len(m.Data))
	}
}

func TestRecentBatchesComeFromMemory(t *testing.T) {
	f := newFixture(t, nil)
	c := f.fetch(fields{"from": "earliest", "follow": true, "frames": true})
	f.waitOpen(1)
	s := f.commit(lines("a"), lines("b"))
	for i, b := range s.entry.Batches {
		f.server.Remember(b.Extent, s.payloads[i])
	}
	f.server.Committed(s.news(f.id))
	c.data()
	c.data()
	if n := f.store.reads.Load(); n != 0 {
		t.Errorf("the store was read %d times", n)
	}
}

func TestPayloadsAreWantedWhilePartitionIsRead(t *testing.T) {
	f := newFixture(t, nil)
	if f.server.Wanted(f.id) {
		t.Error("wanted before the first fetch")
	}
	c := f.fetch(fields{"from": "latest", "follow": true, "max_records": 1})
	f.waitOpen(1)
	if !f.server.Wanted(f.id) {
		t.Error("not wanted during a fetch")
	}
	f.tell(lines("last"))
	c.wants(protocol.StatusEnd, "last")
	if !f.server.Wanted(f.id) {
		t.Error("not wanted right after a fetch")
	}
}

func TestPayloadOfAnotherExtentIsNotUsed(t *testing.T) {
	f := newFixture(t, nil)
	s := f.commit(lines("right"))
	other := s.entry.Batches[0].Extent
	other.CRC++
	f.server.payloads.put(other, []byte("wrong"))
	f.fetch(fields{"offset": 0}).wants(protocol.StatusEnd, "right")
}

func TestPayloadUnlikeStoreIsNotCached(t *testing.T) {
	f := newFixture(t, nil)
	s := f.commit(lines("right"))
	f.server.Remember(s.entry.Batches[0].Extent, protocol.EncodeRecord(protocol.Record{Value: []byte("wrong")}))
	f.fetch(fields{"offset": 0}).wants(protocol.StatusEnd, "right")
}

func TestBatchesThatLieTogetherAreReadAtOnce(t *testing.T) {
	f := newFixture(t, nil)
	var batches [][]protocol.Record
	for range 500 {
		batches = append(batches, lines("x"))
	}
	f.commit(batches...)
	values, _ := f.fetch(fields{"offset": 0}).rest()
	if len(values) != 500 || f.store.reads.Load() != 1 {
		t.Errorf("%d values by %d reads", len(values), f.store.reads.Load())
	}
}

func TestRefreshShowsWhatWasMissed(t *testing.T) {
	f := newFixture(t, nil)
	c := f.fetch(fields{"offset": 0, "follow": true, "max_records": 1})
	f.waitOpen(1)
	f.commit(lines("missed"))
	f.server.Refresh()
	c.wants(protocol.StatusEnd, "missed")
}

func TestRefreshEndsUnconfirmedFetches(t *testing.T) {
	f := newFixture(t, nil)
	f.commit(lines("a"))
	sure := f.fetch(fields{"from": "latest", "follow": true, "window_bytes": 100})
	unsure := f.fetch(fields{"offset": 0, "follow": true, "window_bytes": 100})
	unsure.data()
	f.waitOpen(2)
	f.server.Refresh()
	expectOffsets(t, unsure.fails(protocol.CodeUnavailable), 1, 1)
	f.tell(lines("b"))
	if m := sure.data(); string(m.Data) != "b" {
		t.Errorf("%q came", m.Data)
	}
}

func TestHeartbeatRepairsALostCommit(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.Heartbeat = 20 * time.Millisecond })
	c := f.fetch(fields{"offset": 0, "follow": true, "max_records": 1})
	c.grant(c.status(protocol.StatusHeartbeat), 0)
	f.commit(lines("missed"))
	c.wants(protocol.StatusEnd, "missed")
}

func TestCloseOfReplacedFrontendIsRetryable(t *testing.T) {
	f := newFixture(t, nil)
	c := f.fetch(fields{"offset": 0, "follow": true})
	f.waitOpen(1)
	f.server.Close(f.id, protocol.NewError(protocol.CodeNotOwner, ""))
	c.fails(protocol.CodeNotOwner)
	f.until(func() bool { return f.server.OpenFetches() == 0 })
}

func TestFetchOfDeletedLogReportsUnknownTopic(t *testing.T) {
	f := newFixture(t, func(c *Config) {
		c.LogPatience = 10 * time.Millisecond
		c.Gone = func(context.Context, protocol.Partition) bool { return true }
	})
	f.inJetStream().LoseStream()
	f.fetch(fields{"offset": 0}).fails(protocol.CodeUnknownTopic)
}

func TestCloseEndsFetchesOfADeletedTopic(t *testing.T) {
	deleted := protocol.NewError(protocol.CodeUnknownTopic, "the topic was deleted")
	f := newFixture(t, nil)
	c := f.fetch(fields{"offset": 0, "follow": true})
	f.waitOpen(1)
	f.server.Close(f.id, deleted)
	c.fails(protocol.CodeUnknownTopic)
	f.until(func() bool { return f.server.OpenFetches() == 0 })
	f.server.Close(f.id, deleted)

	f.topic.ID++
	f.id = f.topic.Partition(0)
	must(t, partitionlog.New(f.conn, f.js, f.id).Create(f.context(), 1, 0))
	must(t, f.server.Open(f.topic, 0))
	must(t, f.server.Open(f.topic, 0))
	must(t, f.js.Conn().Flush())
	f.fetch(fields{"offset": 0}).status(protocol.StatusEnd)
}

func TestStopEndsFetchesRetryably(t *testing.T) {
	f := newFixture(t, nil)
	f.commit(lines("a"))
	c := f.fetch(fields{"offset": 0, "follow": true, "window_bytes": 10})
	c.data()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	must(t, f.server.Stop(ctx))
	m := c.fails(protocol.CodeUnavailable)
	expectOffsets(t, m, 1, 1)
	if f.server.OpenFetches() != 0 {
		t.Error("fetches are open")
	}
	must(t, f.server.Stop(ctx))
	if f.server.Open(f.topic, 0) == nil {
		t.Error("a partition was opened after Stop")
	}
	f.server.Refresh()
}

func TestManyFollowersGetTheSame(t *testing.T) {
	f := newFixture(t, nil)
	const followers, commits = 20, 30
	consumers := make([]*consumer, followers)
	for i := range consumers {
		consumers[i] = f.fetch(fields{"offset": 0, "follow": true, "max_records": 2 * commits, "window_bytes": 8, "frames": i%2 == 0})
	}
	var want []string
	for i := range commits {
		want = append(want, fmt.Sprint(2*i), fmt.Sprint(2*i+1))
		f.tell(lines(want[2*i:]...))
	}
	for _, c := range consumers {
		if got, _ := c.rest(); !slices.Equal(got, want) {
			t.Fatalf("got %q", got)
		}
	}
}

// The server has heard of none of the entries, so that all of them are read from the log.
func TestFollowersReadTheLogOnceTogether(t *testing.T) {
	f := newFixture(t, nil)
	const followers, entries = 40, 300
	var want []string
	for i := range entries {
		want = append(want, fmt.Sprint(i))
	}
	f.commitEach(want...)
	requests, err := f.conn.SubscribeSync("$JS.API.DIRECT.GET." + f.inJetStream().Stream())
	must(t, err)
	must(t, f.conn.Flush())
	consumers := make([]*consumer, followers)
	for i := range consumers {
		consumers[i] = f.fetch(fields{"from": "earliest", "follow": true, "max_records": entries, "window_bytes": 1 << 20})
	}
	for _, c := range consumers {
		if got, _ := c.rest(); !slices.Equal(got, want) {
			t.Fatalf("got %q", got)
		}
	}
	reads := 0
	for n, _, err := requests.Pending(); n > 0; n, _, err = requests.Pending() {
		must(t, err)
		m, err := requests.NextMsg(patience)
		must(t, err)
		var request struct{ Seq, Batch uint64 }
		must(t, json.Unmarshal(m.Data, &request))
		if request.Batch > 1 && request.Seq <= f.last { // the others look up an end of the log, or of the journal
			reads++
		}
	}
	// One request reads at most 256 entries. Followers that begin after others have read may read again.
	if reads < 2 || reads > followers/4 {
		t.Errorf("%d followers read %d entries with %d requests, and need 2 if all begin at once", followers, entries, reads)
	}
}
