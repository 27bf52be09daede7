package partitionlog_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/embedded"
	"laneway.dev/internal/partitionlog"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

var partition = protocol.Partition{Topic: "orders", TopicID: 7, Number: 3}

// server is a NATS server with a connection to it.
type server struct {
	embedded *embedded.Server // nil if it is another process
	conn     *nats.Conn
	js       jetstream.JetStream
	ctx      context.Context
}

func start(t testing.TB) server {
	t.Helper()
	s, err := embedded.Start(embedded.Options{Listen: "127.0.0.1:0", Data: t.TempDir()})
	must(t, err)
	t.Cleanup(func() { must(t, s.Shutdown()) })
	conn, js := connect(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return server{s, conn, js, ctx}
}

func connect(t testing.TB, s *embedded.Server) (*nats.Conn, jetstream.JetStream) {
	t.Helper()
	conn, err := s.Connect()
	must(t, err)
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	must(t, err)
	return conn, js
}

func (s server) log(p protocol.Partition) *partitionlog.Log {
	return partitionlog.New(s.conn, s.js, p)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// entry has so many records in one batch.
func entry(base int64, records uint32) messages.Entry {
	n := messages.Entry{TopicID: partition.TopicID, Epoch: 1, SequencerEpoch: 2, BaseOffset: base}
	if records > 0 {
		n.Batches = []messages.Placeholder{{
			Batch:  messages.Batch{Ticket: messages.Ticket{Lane: "l", Number: uint64(base)}, Records: records},
			Extent: messages.Extent{Key: "k", Offset: 16, Length: 9, CRC: 5},
		}}
	}
	return n
}

// created makes a log with entries of two records each, behind the first one.
func created(t *testing.T, entries int) (server, *partitionlog.Log) {
	t.Helper()
	s := start(t)
	log := s.log(partition)
	must(t, log.Create(s.ctx, 1, 0))
	for i := range entries {
		sequence, err := log.Append(s.ctx, uint64(i+1), messages.EncodeEntry(entry(int64(2*i), 2)))
		must(t, err)
		if sequence != uint64(i+2) {
			t.Fatalf("entry %d has sequence %d", i, sequence)
		}
	}
	return s, log
}

func TestAppendedEntriesAreReadInOrder(t *testing.T) {
	s, log := created(t, 3)
	entries, atEnd, err := log.Read(s.ctx, 2, 100)
	must(t, err)
	if len(entries) != 3 || !atEnd {
		t.Fatalf("%d entries, at the end: %t", len(entries), atEnd)
	}
	for i, e := range entries {
		if e.Sequence != uint64(i+2) {
			t.Errorf("entry %d has sequence %d", i, e.Sequence)
		}
		if diff := cmp.Diff(entry(int64(2*i), 2), e.Entry); diff != "" {
			t.Error(diff)
		}
	}
}

func TestReadIsLimited(t *testing.T) {
	s, log := created(t, 4)
	for _, c := range []struct {
		from  uint64
		limit int
		want  []uint64
		atEnd bool
	}{
		{1, 2, []uint64{1, 2}, false},
		{2, 1, []uint64{2}, false},
		{4, 2, []uint64{4, 5}, true},
		{5, 1, []uint64{5}, true},
		{5, 256, []uint64{5}, true},
		{6, 10, nil, true},
		{1 << 40, 10, nil, true},
	} {
		entries, atEnd, err := log.Read(s.ctx, c.from, c.limit)
		must(t, err)
		var got []uint64
		for _, e := range entries {
			got = append(got, e.Sequence)
		}
		if diff := cmp.Diff(c.want, got); diff != "" || atEnd != c.atEnd {
			t.Errorf("from %d, limit %d: at the end: %t, %s", c.from, c.limit, atEnd, diff)
		}
	}
}

func TestAppendAfterSomebodyElsesIsRefused(t *testing.T) {
	s, log := created(t, 2)
	for _, expected := range []uint64{0, 1, 2, 4} {
		_, err := log.Append(s.ctx, expected, messages.EncodeEntry(entry(4, 1)))
		if !errors.Is(err, partitionlog.ErrMoved) {
			t.Errorf("append after %d: %v", expected, err)
		}
	}
	state, err := log.State(s.ctx)
	must(t, err)
	if state.LastSequence != 3 {
		t.Errorf("last sequence is %d", state.LastSequence)
	}
}

func TestOfTwoOwnersOneWinsEachPlace(t *testing.T) {
	s, log := created(t, 0)
	const places = 20
	type result struct {
		place uint64
		err   error
	}
	results := make(chan result)
	for owner := range 2 {
		go func() {
			for place := range uint64(places) {
				n := entry(0, 0)
				n.Owner = fmt.Sprint(owner)
				_, err := log.Append(s.ctx, place+1, messages.EncodeEntry(n))
				results <- result{place, err}
			}
		}()
	}
	won := make(map[uint64]int)
	for range 2 * places {
		r := <-results
		switch {
		case r.err == nil:
			won[r.place]++
		case !errors.Is(r.err, partitionlog.ErrMoved):
			t.Error(r.err)
		}
	}
	for place, n := range won {
		if n > 1 {
			t.Errorf("place %d was won %d times", place, n)
		}
	}
	if won[0] != 1 {
		t.Error("no writer won the first place")
	}
}

func TestStateTellsWhereTheLogEnds(t *testing.T) {
	s, log := created(t, 0)
	state, err := log.State(s.ctx)
	must(t, err)
	empty := state.Bytes
	if empty == 0 || state != (partitionlog.State{FirstSequence: 1, LastSequence: 1, Readable: 1, Entries: 1, Bytes: empty}) {
		t.Errorf("empty log: %+v", state)
	}
	for i, n := range []messages.Entry{entry(0, 0), entry(0, 3), entry(3, 0)} {
		_, err := log.Append(s.ctx, uint64(i+1), messages.EncodeEntry(n))
		must(t, err)
	}
	state, err = log.State(s.ctx)
	must(t, err)
	if want := (partitionlog.State{FirstSequence: 1, LastSequence: 4, Readable: 4, NextOffset: 3, Entries: 4, Bytes: state.Bytes}); state != want || state.Bytes <= empty {
		t.Errorf("got %+v, wanted %+v", state, want)
	}
}

func TestEntryThatCannotBeReadIsCorruptAndNamed(t *testing.T) {
	s, log := created(t, 2)
	_, err := log.Append(s.ctx, 3, []byte("no entry"))
	must(t, err)
	_, err = log.Append(s.ctx, 4, messages.EncodeEntry(entry(4, 1)))
	must(t, err)

	entries, _, err := log.Read(s.ctx, 2, 10)
	if !errors.Is(err, protocol.NewError(protocol.CodeCorrupt, "")) || !contains(err, "entry 4 of log 0000000000000007-3") {
		t.Errorf("error is %v", err)
	}
	if len(entries) != 2 {
		t.Errorf("%d entries came before it", len(entries))
	}
	entries, atEnd, err := log.Read(s.ctx, 5, 10)
	must(t, err)
	if len(entries) != 1 || !atEnd {
		t.Errorf("%d entries after it", len(entries))
	}
}

func TestEntryOfAnotherTopicIsCorrupt(t *testing.T) {
	s, log := created(t, 1)
	foreign := entry(2, 1)
	foreign.TopicID = 8
	_, err := log.Append(s.ctx, 2, messages.EncodeEntry(foreign))
	must(t, err)
	_, _, err = log.Read(s.ctx, 3, 1)
	if !errors.Is(err, protocol.NewError(protocol.CodeCorrupt, "")) || !contains(err, "topic id 8, not 7") {
		t.Errorf("error is %v", err)
	}
	if state, err := log.State(s.ctx); err != nil || !errors.Is(state.Damage, protocol.NewError(protocol.CodeCorrupt, "")) {
		t.Errorf("State: %+v, %v", state, err)
	}
}

func TestCreateAgainIsHarmlessAndAnotherTopicOfTheNameHasItsOwnLog(t *testing.T) {
	s, log := created(t, 2)
	must(t, log.Create(s.ctx, 1, 0))
	state, err := log.State(s.ctx)
	must(t, err)
	if state.LastSequence != 3 {
		t.Errorf("creating the log again left %d entries", state.LastSequence)
	}
	again := partition
	again.TopicID++
	must(t, s.log(again).Create(s.ctx, 1, 0))
	must(t, s.log(again).Delete(s.ctx))
	if state, err = log.State(s.ctx); err != nil || state.LastSequence != 3 {
		t.Errorf("the log of the first topic ends at %+v (%v)", state, err)
	}
}

func TestALogMayBeginAtAnySequenceAndOffset(t *testing.T) {
	s := start(t)
	log := s.log(partition)
	target, err := log.Continue(s.ctx, 1, 1001)
	must(t, err)
	must(t, target.Append(s.ctx, messages.Entry{TopicID: partition.TopicID, Created: true, BaseOffset: 500}))
	must(t, target.Append(s.ctx, entry(500, 2)))
	must(t, target.Finish(s.ctx))
	bounds, err := log.Bounds(s.ctx)
	must(t, err)
	begin, err := log.Begin(s.ctx, bounds.First)
	must(t, err)
	if bounds.First != 1001 || bounds.Last != 1002 || begin != 500 {
		t.Errorf("the log is %+v and begins at offset %d", bounds, begin)
	}
	if state, err := log.State(s.ctx); err != nil || state.FirstSequence != 1001 || state.NextOffset != 502 {
		t.Errorf("its state is %+v, %v", state, err)
	}
}

func TestLateAppendOfADeletedTopicDoesNotLandInTheNewOne(t *testing.T) {
	s, log := created(t, 0)
	must(t, log.Delete(s.ctx))
	again := partition
	again.TopicID++
	anew := s.log(again)
	must(t, anew.Create(s.ctx, 1, 0))
	if _, err := log.Append(s.ctx, 1, messages.EncodeEntry(entry(0, 1))); err == nil {
		t.Error("the old topic's owner has appended")
	}
	state, err := anew.State(s.ctx)
	must(t, err)
	if state.LastSequence != 1 {
		t.Errorf("the new log has %d entries", state.LastSequence)
	}
}

func TestDeletedLog(t *testing.T) {
	s, log := created(t, 1)
	must(t, log.Delete(s.ctx))
	must(t, log.Delete(s.ctx))
	if _, err := log.State(s.ctx); !errors.Is(err, partitionlog.ErrNoLog) {
		t.Errorf("State: %v", err)
	}
	if _, _, err := log.Read(s.ctx, 1, 1); err == nil {
		t.Error("a deleted log was read")
	}
	if _, err := log.Append(s.ctx, 1, messages.EncodeEntry(entry(2, 1))); err == nil || errors.Is(err, partitionlog.ErrMoved) {
		t.Errorf("append: %v", err)
	}
}

func TestReadEndsWithItsContext(t *testing.T) {
	s, log := created(t, 1)
	ctx, cancel := context.WithCancel(s.ctx)
	cancel()
	if _, _, err := log.Read(ctx, 1, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("Read: %v", err)
	}
}

func contains(err error, text string) bool {
	return err != nil && strings.Contains(err.Error(), text)
}

func TestLogsOfAnOlderVersionAreRefused(t *testing.T) {
	s, _ := created(t, 0)
	if logs, err := partitionlog.List(s.ctx, s.conn, s.js, partitionlog.Which{}); err != nil || len(logs) != 1 {
		t.Fatalf("found are %+v, %v", logs, err)
	}
	const older = "LANEWAY_LOG-0000000000000007-3"
	_, err := s.js.CreateStream(s.ctx, jetstream.StreamConfig{Name: older, Subjects: []string{"_laneway.log.0000000000000007.3"}})
	must(t, err)
	if _, err := partitionlog.List(s.ctx, s.conn, s.js, partitionlog.Which{}); !errors.Is(err, partitionlog.ErrOlder) || !contains(err, older) {
		t.Errorf("the list ends with %v", err)
	}
}
