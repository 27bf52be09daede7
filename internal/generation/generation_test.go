package generation_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"

	"laneway.dev/internal/embedded/embeddedtest"
	"laneway.dev/internal/generation"
	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/partitionlog"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

func start(t *testing.T) (context.Context, generation.Cluster) {
	t.Helper()
	conn, js := embeddedtest.Start(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	store, err := objectstore.Open("file://"+t.TempDir(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return ctx, generation.Cluster{Conn: conn, JS: js, Store: store}
}

func open(ctx context.Context, t *testing.T, c generation.Cluster) uint64 {
	t.Helper()
	found, err := generation.Open(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestProcessesThatStartTogetherFindOneGeneration(t *testing.T) {
	ctx, c := start(t)
	if found, err := generation.Newest(ctx, c.Conn); found != 0 || err != nil {
		t.Errorf("before the first start: %d, %v", found, err)
	}
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			if found, err := generation.Open(ctx, c); found != 3 || err != nil {
				t.Errorf("%d, %v; want 3", found, err)
			}
		})
	}
	group.Wait()
}

func TestGenerationIsRaisedOncePerRound(t *testing.T) {
	ctx, c := start(t)
	known := open(ctx, t, c)
	for range 2 { // two sweepers
		if raised, err := generation.Raise(ctx, c.Conn, c.JS, known, 0); raised != known+1 || err != nil {
			t.Errorf("%d, %v; want %d", raised, err, known+1)
		}
	}
	if raised, err := generation.Raise(ctx, c.Conn, c.JS, known+1, 40); raised != 43 || err != nil {
		t.Errorf("above a watermark of 40: %d, %v; want 43", raised, err)
	}
	if found := open(ctx, t, c); found != 43 {
		t.Errorf("a later process finds %d, want 43", found)
	}
}

// Objects of a generation that is used again could be deleted while they are new.
func TestLostGenerationIsAboveAllObjectsAndLogs(t *testing.T) {
	ctx, c := start(t)
	key, err := objectstore.NewBatchesKey(17, time.Now(), nil)
	if err == nil {
		err = c.Store.Put(ctx, key, [][]byte{[]byte("x")})
	}
	if err != nil {
		t.Fatal(err)
	}
	if found := open(ctx, t, c); found != 18 {
		t.Errorf("with an object of generation 17: %d, want 18", found)
	}
	log := partitionlog.New(c.Conn, c.JS, protocol.Partition{Topic: "orders", TopicID: 9})
	if err = log.Create(ctx, 1, 0); err == nil {
		_, err = log.Append(ctx, 1, messages.EncodeEntry(messages.Entry{TopicID: 9, Watermark: 30}))
	}
	if err == nil {
		err = c.JS.DeleteKeyValue(ctx, "LANEWAY_GENERATION")
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := generation.Raise(ctx, c.Conn, c.JS, 18, 0); err == nil {
		t.Error("a generation that is lost was raised")
	}
	if found := open(ctx, t, c); found != 33 {
		t.Errorf("with a watermark of 30: %d, want 33", found)
	}
}

func TestFollowerNeverFalls(t *testing.T) {
	ctx, c := start(t)
	known := open(ctx, t, c)
	follower, risen := generation.NewFollower(c.Conn, c.JS, 0), make(chan uint64)
	running, stop := context.WithCancel(ctx)
	var group sync.WaitGroup
	group.Go(func() { follower.Run(running, zaptest.NewLogger(t), func(g uint64) { risen <- g }) })
	if got := <-risen; got != known {
		t.Errorf("found %d, want %d", got, known)
	}
	if _, err := generation.Raise(ctx, c.Conn, c.JS, known, 0); err != nil {
		t.Fatal(err)
	}
	if got := <-risen; got != known+1 || follower.Newest() != known+1 {
		t.Errorf("found %d, want %d", got, known+1)
	}
	stop()
	group.Wait()
	follower.Found(known)
	if got := follower.Newest(); got != known+1 {
		t.Errorf("fell to %d", got)
	}
}

// Without it, stagers that start later would write objects that logs refuse.
func TestGenerationThatWasRestoredFromACopyIsRaised(t *testing.T) {
	ctx, c := start(t)
	old := open(ctx, t, c)
	follower := generation.NewFollower(c.Conn, c.JS, old)
	follower.Found(90) // from a log
	running, stop := context.WithCancel(ctx)
	risen := make(chan uint64)
	var group sync.WaitGroup
	group.Go(func() { follower.Run(running, zaptest.NewLogger(t), func(g uint64) { risen <- g }) })
	if got := <-risen; got != 91 {
		t.Errorf("the follower knows %d, want 91", got)
	}
	stop()
	group.Wait()
	if found := open(ctx, t, c); found != 91 {
		t.Errorf("a later process finds %d, want 91", found)
	}
}

func TestDamagedGenerationIsAnError(t *testing.T) {
	ctx, c := start(t)
	open(ctx, t, c)
	kv, err := c.JS.KeyValue(ctx, "LANEWAY_GENERATION")
	if err == nil {
		_, err = kv.PutString(ctx, "newest", "-1")
	}
	if err != nil {
		t.Fatal(err)
	}
	if found, err := generation.Open(ctx, c); err == nil {
		t.Errorf("found %d", found)
	}
}
