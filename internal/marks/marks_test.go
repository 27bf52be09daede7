package marks_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/embedded"
	"laneway.dev/internal/embedded/embeddedtest"
	"laneway.dev/internal/marks"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

var partition = protocol.Partition{Topic: "orders", TopicID: 1 << 63, Number: 3}

func open(t *testing.T) (context.Context, *marks.Store, func() error) {
	t.Helper()
	conn, js := embeddedtest.Start(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx, marks.New(conn, js), func() error { return marks.Delete(ctx, conn, js, partition.TopicID) }
}

func mark(owner string, sequence uint64) messages.Mark {
	at := messages.Position{Sequence: sequence, Offset: int64(10 * sequence)}
	return messages.Mark{Owner: owner, Written: at, Reserved: messages.Position{Sequence: sequence + 5, Offset: at.Offset + 50}}
}

func TestMarkIsReplacedByCompareAndSet(t *testing.T) {
	ctx, store, _ := open(t)
	if got, err := store.Get(ctx, partition); err != nil || got != (marks.Stored{}) {
		t.Fatalf("before the first mark: %+v, %v", got, err)
	}
	first, err := store.Put(ctx, partition, mark("a", 1), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Put(ctx, partition, mark("b", 1), 0); !errors.Is(err, marks.ErrMoved) {
		t.Errorf("a second first mark: %v", err)
	}
	second, err := store.Put(ctx, partition, mark("b", 2), first)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Put(ctx, partition, mark("a", 3), first); !errors.Is(err, marks.ErrMoved) {
		t.Errorf("a mark over an older one: %v", err)
	}
	got, err := store.Get(ctx, partition)
	if want := (marks.Stored{Mark: mark("b", 2), Revision: second, Exists: true}); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

func TestEachIncarnationHasItsMark(t *testing.T) {
	ctx, store, remove := open(t)
	again := partition
	again.Incarnation++
	another := partition
	another.TopicID++
	for i, p := range []protocol.Partition{partition, again, another} {
		if _, err := store.Put(ctx, p, mark("a", uint64(i+1)), 0); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := store.Get(ctx, again); err != nil || got.Mark != mark("a", 2) {
		t.Errorf("got %+v, %v", got, err)
	}
	if err := remove(); err != nil {
		t.Fatal(err)
	}
	for p, want := range map[protocol.Partition]bool{partition: false, again: false, another: true} {
		if got, err := store.Get(ctx, p); err != nil || got.Exists != want {
			t.Errorf("after the topic was deleted, incarnation %d of topic id %d: %+v, %v", p.Incarnation, p.TopicID, got, err)
		}
	}
}

func TestMarksOfLaterIncarnationsAreFound(t *testing.T) {
	ctx, store, _ := open(t)
	next, last, other := partition, partition, partition
	next.Incarnation, last.Incarnation, other.Number, other.Incarnation = 1, 12, 30, 5
	for _, p := range []protocol.Partition{partition, next, last, other} {
		if _, err := store.Put(ctx, p, mark("a", uint64(p.Incarnation)), 0); err != nil {
			t.Fatal(err)
		}
	}
	got, err := store.Later(ctx, next)
	if err != nil || len(got) != 1 || got[12] != mark("a", 12) {
		t.Errorf("after incarnation 1 there are %+v, %v", got, err)
	}
	if got, err = store.Later(ctx, last); err != nil || len(got) != 0 {
		t.Errorf("after incarnation 12 there are %+v, %v", got, err)
	}
}

// The marks of other partitions stay, unless they may have been in what is lost, too.
func TestLostMarkIsCorrupt(t *testing.T) {
	server, err := embedded.Start(embedded.Options{Listen: "127.0.0.1:0", Data: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Shutdown() }()
	connect := func() (*nats.Conn, jetstream.JetStream) {
		conn, err := server.Connect()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(conn.Close)
		js, err := jetstream.New(conn)
		if err != nil {
			t.Fatal(err)
		}
		return conn, js
	}
	conn, js := connect()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	store := marks.New(conn, js)
	other := partition
	other.Number++
	first, err := store.Put(ctx, partition, mark("a", 1), 0) // group 1
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Put(ctx, partition, mark("a", 2), first); err != nil { // group 2
		t.Fatal(err)
	}
	if _, err := store.Put(ctx, other, mark("b", 1), 0); err != nil { // group 3
		t.Fatal(err)
	}
	stream, err := js.Stream(ctx, messages.MarksStream(partition.Log))
	if err == nil {
		err = stream.DeleteMsg(ctx, 2)
	}
	if err != nil {
		t.Fatal(err)
	}
	store = marks.New(connect()) // it has not read the lost mark
	if got, err := store.Get(ctx, partition); !errors.Is(err, protocol.NewError(protocol.CodeCorrupt, "")) {
		t.Errorf("the mark that may have been replaced is %+v, %v", got, err)
	}
	if got, err := store.Get(ctx, other); err != nil || got.Mark != mark("b", 1) {
		t.Errorf("the other mark is %+v, %v", got, err)
	}
}

// Marks are written all the time, and only the last one of each partition is needed.
func TestStreamOfMarksIsPurged(t *testing.T) {
	conn, js := embeddedtest.Start(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	store := marks.New(conn, js)
	idle := partition
	idle.Number++
	if _, err := store.Put(ctx, idle, mark("idle", 7), 0); err != nil {
		t.Fatal(err)
	}
	var revision uint64
	for state := uint64(1); state == 1; {
		for range 500 {
			var err error
			if revision, err = store.Put(ctx, partition, mark(strings.Repeat("x", 4000), revision+1), revision); err != nil {
				t.Fatal(err)
			}
		}
		stream, err := js.Stream(ctx, messages.MarksStream(partition.Log))
		if err != nil {
			t.Fatal(err)
		}
		state = stream.CachedInfo().State.FirstSeq
	}
	if got, err := store.Get(ctx, partition); err != nil || got.Revision != revision {
		t.Errorf("the mark is of revision %d, %v, want %d", got.Revision, err, revision)
	}
	if got, err := store.Get(ctx, idle); err != nil || got.Mark != mark("idle", 7) {
		t.Errorf("the mark that was written once is %+v, %v", got, err)
	}
}
