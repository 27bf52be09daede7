package fetch

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/protocol"
	core "laneway.dev/services/frontend/core/fetch"
)

// newDistant returns a fixture with four records, each in an object of its own, whose reads
// do not return before two of them have begun.
func newDistant(t *testing.T) (*fixture, *faultyStore) {
	t.Helper()
	store := &faultyStore{}
	two := make(chan struct{})
	store.instead = func(ctx context.Context, n int) error {
		if n == 2 {
			close(two)
		}
		select {
		case <-two:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	f := newFixture(t, func(c *Config) {
		store.Store = c.Store
		c.Store = store
	})
	for _, value := range []string{"a", "b", "c", "d"} {
		f.commit(lines(value))
	}
	return f, store
}

// oneByOne is a request with room for one record at a time, so two are read ahead.
var oneByOne = fields{"offset": 0, "window_bytes": len(protocol.EncodeRecord(protocol.Record{Value: []byte("a")}))}

func TestNextPayloadsAreReadWhileTheStoreAnswers(t *testing.T) {
	f, store := newDistant(t)
	f.fetch(oneByOne).wants(protocol.StatusEnd, "a", "b", "c", "d")
	if reads, _ := store.counts(); reads != 4 {
		t.Errorf("%d reads of 4 objects", reads)
	}
}

func TestPayloadThatCouldNotBeReadAheadIsReadAgain(t *testing.T) {
	f, store := newDistant(t)
	store.after = func(n int, _ []byte) error {
		if n == 2 || n == 3 {
			return errors.New("injected")
		}
		return nil
	}
	f.fetch(oneByOne).wants(protocol.StatusEnd, "a", "b", "c", "d")
}

func TestConsumerThatTakesNothingKeepsNothingThatWasReadAhead(t *testing.T) {
	f, store := newDistant(t)
	request := fields{"follow": true, "frames": true} // a frame uses up the window
	for name, value := range oneByOne {
		request[name] = value
	}
	c := f.fetch(request)
	first := c.data()
	ctx := f.context()
	for tick := time.NewTicker(10 * time.Millisecond); len(f.server.ahead) > 0; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%d ranges are still open", len(f.server.ahead))
		}
	}
	before, _ := store.counts()
	c.grant(first, len(first.Data))
	if got := valuesOf(t, c.data()); len(got) != 1 || got[0] != "b" {
		t.Errorf("got %q, want b", got)
	}
	if after, _ := store.counts(); after == before {
		t.Error("what was dropped was not read again")
	}
}

// A slow store must not make a fetch lose what it has read ahead while it waited for the store.
func TestAnswerOfTheStoreRenewsWhatWasReadAhead(t *testing.T) {
	f := &fetch{answers: make(chan core.Event, 1), asking: true, ahead: ahead{used: time.Now().Add(-2 * aheadIdle)}}
	f.answers <- core.Loaded{}
	f.wait(t.Context(), time.NewTimer(time.Hour), time.Time{}, nil, nil)
	if idle := time.Since(f.ahead.used); idle >= 2*aheadIdle {
		t.Errorf("idle for %v after an answer", idle)
	}
}

// stuckStore is a store whose first read of one object never returns.
type stuckStore struct {
	objectstore.Store
	key   atomic.Pointer[string]
	stuck atomic.Bool
}

func (s *stuckStore) ReadRange(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	if k := s.key.Load(); k != nil && *k == key && s.stuck.CompareAndSwap(false, true) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return s.Store.ReadRange(ctx, key, offset, length)
}

func TestLoadDoesNotWaitForAReadAheadThatHangs(t *testing.T) {
	t.Parallel() // it waits most of the time
	store := &stuckStore{}
	f := newFixture(t, func(c *Config) {
		store.Store = c.Store
		c.Store, c.StoreTimeout = store, time.Hour
	})
	f.commit(lines("a"))
	second := f.commit(lines("b"))
	f.commit(lines("c"))
	f.commit(lines("d"))
	store.key.Store(&second.entry.Batches[0].Extent.Key)
	f.fetch(oneByOne).wants(protocol.StatusEnd, "a", "b", "c", "d")
	if !store.stuck.Load() {
		t.Error("nothing was read ahead")
	}
}
