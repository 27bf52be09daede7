package fetch

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// faultyStore is a store whose reads a test changes. It is safe for concurrent use.
type faultyStore struct {
	objectstore.Store

	mu      sync.Mutex
	reads   int
	anew    int                                    // reads that want a new connection
	after   func(n int, content []byte) error      // changes the result of the n-th read; nil changes none
	instead func(ctx context.Context, n int) error // of the n-th read, unless it returns nil
}

func (s *faultyStore) ReadRange(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	s.mu.Lock()
	s.reads++
	n := s.reads
	if objectstore.WantsNewConnection(ctx) {
		s.anew++
	}
	after, instead := s.after, s.instead
	s.mu.Unlock()
	if instead != nil {
		if err := instead(ctx, n); err != nil {
			return nil, err
		}
	}
	content, err := s.Store.ReadRange(ctx, key, offset, length)
	if err == nil && after != nil {
		err = after(n, content)
	}
	return content, err
}

func (s *faultyStore) counts() (reads, anew int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reads, s.anew
}

// newFaulty returns a fixture with three records "a", "b" and "c" in one object of a store
// that fails as a test says.
func newFaulty(t *testing.T, change func(*faultyStore, *Config)) (*fixture, *faultyStore, stored) {
	t.Helper()
	faulty := &faultyStore{}
	f := newFixture(t, func(c *Config) {
		faulty.Store = c.Store
		c.Store = faulty
		change(faulty, c)
	})
	committed := f.commit(lines("a"), lines("b"), lines("c"))
	return f, faulty, committed
}

func flip(content []byte) { content[len(content)/2] ^= 4 }

func TestPassingErrorsOfTheStoreAreNotSeenByConsumers(t *testing.T) {
	t.Parallel() // it waits most of the time
	for _, cause := range []error{
		objectstore.ErrThrottled, objectstore.ErrUnreachable, objectstore.ErrShort, objectstore.ErrDenied, objectstore.ErrCredentials,
		objectstore.ErrTLS, context.DeadlineExceeded,
	} {
		for _, request := range []fields{{"offset": 0, "window_bytes": 100}, {"offset": 0}} {
			t.Run(fmt.Sprint(cause, request), func(t *testing.T) {
				f, store, _ := newFaulty(t, func(s *faultyStore, _ *Config) {
					s.instead = func(_ context.Context, n int) error {
						if n <= 2 {
							return fmt.Errorf("injected: %w", cause)
						}
						return nil
					}
				})
				f.fetch(request).wants(protocol.StatusEnd, "a", "b", "c")
				if reads, _ := store.counts(); reads != 4 { // the third reads one batch, the fourth the others
					t.Errorf("%d reads", reads)
				}
			})
		}
	}
}

func TestBitFlippedInTransitIsReadAgain(t *testing.T) {
	f, store, _ := newFaulty(t, func(s *faultyStore, _ *Config) {
		s.after = func(n int, content []byte) error {
			if n == 1 {
				flip(content)
			}
			return nil
		}
	})
	f.fetch(fields{"offset": 0}).wants(protocol.StatusEnd, "a", "b", "c")
	if reads, anew := store.counts(); reads != 2 || anew != 1 {
		t.Errorf("%d reads, %d with a new connection", reads, anew)
	}
	if n := f.server.Stats().Altered; n != 1 {
		t.Errorf("%d altered payloads are counted", n)
	}
}

func TestContentThatNeverMatchesIsCorrupt(t *testing.T) {
	f, store, s := newFaulty(t, func(s *faultyStore, _ *Config) {
		s.after = func(_ int, content []byte) error {
			if i := bytes.IndexByte(content, 'b'); i >= 0 {
				content[i] = 'x'
			}
			return nil
		}
	})
	c := f.fetch(fields{"offset": 0})
	c.data()
	m := c.fails(protocol.CodeCorrupt)
	names(t, m, s.entry.Batches[1].Extent)
	expectGap(t, m, 1, 1)
	if reads, _ := store.counts(); reads != objectstore.Reads {
		t.Errorf("%d reads", reads)
	}
	f.fetch(fields{"offset": 2}).wants(protocol.StatusEnd, "c")
}

func TestContentThatIsWrongInAnotherWayEachTimeIsNoDamage(t *testing.T) {
	f, _, _ := newFaulty(t, func(s *faultyStore, _ *Config) {
		s.after = func(n int, content []byte) error {
			if n < 10 {
				content[len(content)/2] ^= byte(n)
			}
			return nil
		}
	})
	f.fetch(fields{"offset": 0, "window_bytes": 100}).wants(protocol.StatusEnd, "a", "b", "c")
}

// A request that fails between two reads with wrong content is none of the reads that show
// damage.
func TestFailureBetweenTwoAlteredReadsIsNoDamage(t *testing.T) {
	f, _, _ := newFaulty(t, func(s *faultyStore, _ *Config) {
		s.after = func(n int, content []byte) error {
			switch {
			case n%2 == 0 && n < 8:
				return objectstore.ErrThrottled
			case n < 8:
				flip(content)
			}
			return nil
		}
	})
	f.fetch(fields{"offset": 0}).wants(protocol.StatusEnd, "a", "b", "c")
}

func TestShortBodyIsReadAgain(t *testing.T) {
	f, _, _ := newFaulty(t, func(s *faultyStore, _ *Config) {
		s.after = func(n int, _ []byte) error {
			if n == 1 {
				return objectstore.ErrShort
			}
			return nil
		}
	})
	f.fetch(fields{"offset": 0}).wants(protocol.StatusEnd, "a", "b", "c")
}

func TestConsumerOutlastsAStoreThatIsAway(t *testing.T) {
	var away atomic.Bool
	away.Store(true)
	core, logged := observer.New(zap.WarnLevel)
	f, store, _ := newFaulty(t, func(s *faultyStore, c *Config) {
		c.Heartbeat, c.StorePatience, c.Logger = 20*time.Millisecond, time.Nanosecond, zap.New(core)
		s.instead = func(context.Context, int) error {
			if away.Load() {
				return objectstore.ErrThrottled
			}
			return nil
		}
	})
	c := f.fetch(fields{"offset": 0, "window_bytes": 100})
	for beats := 0; beats < 20 || func() bool { reads, _ := store.counts(); return reads < 4 }(); beats++ {
		m := c.status(protocol.StatusHeartbeat)
		expectOffsets(t, m, 0, 3)
		c.grant(m, 0)
	}
	away.Store(false)
	c.wants(protocol.StatusEnd, "a", "b", "c")
	lines := logged.FilterMessageSnippet("cannot be read").All()
	if len(lines) != 1 {
		t.Fatalf("%d lines are logged", len(lines))
	}
	if cause := fmt.Sprint(lines[0].ContextMap()["error"]); !strings.Contains(cause, objectstore.ErrThrottled.Error()) {
		t.Errorf("the cause is %q", cause)
	}
}

func TestHungRequestIsGivenUpAndRepeated(t *testing.T) {
	f, _, _ := newFaulty(t, func(s *faultyStore, c *Config) {
		c.StoreTimeout = 20 * time.Millisecond
		s.instead = func(ctx context.Context, n int) error {
			if n == 1 {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}
	})
	f.fetch(fields{"offset": 0}).wants(protocol.StatusEnd, "a", "b", "c")
}

func TestCancelledFetchEndsWhileTheStoreIsAway(t *testing.T) {
	for name, hang := range map[string]bool{"between two requests": false, "during a request": true} {
		t.Run(name, func(t *testing.T) {
			f, _, _ := newFaulty(t, func(s *faultyStore, c *Config) {
				c.Heartbeat = 10 * time.Millisecond
				s.instead = func(ctx context.Context, _ int) error {
					if hang {
						<-ctx.Done()
						return ctx.Err()
					}
					return objectstore.ErrUnreachable
				}
			})
			c := f.fetch(fields{"offset": 0, "window_bytes": 100})
			must(t, f.conn.Publish(c.status(protocol.StatusHeartbeat).Reply, []byte(protocol.CancelFetch)))
			expectHeader(t, c.beyondBeats(), protocol.HeaderStatus, protocol.StatusCancelled)
			f.until(func() bool { return len(f.server.loads) == 0 })
		})
	}
}

// One part of a store may fail while another one works. Fetches that wait for the failing part
// must not use the slots of the others.
func TestFailingObjectsDoNotBlockOthers(t *testing.T) {
	var failing atomic.Value
	failing.Store("")
	f := newFixture(t, func(c *Config) { c.Store = &failingKey{c.Store, &failing} })
	s := f.commit(lines("a"))
	f.commit(lines("b"))
	failing.Store(s.entry.Batches[0].Extent.Key)
	for range 3 * maxLoads {
		f.fetch(fields{"offset": 0, "follow": true})
	}
	f.until(func() bool { return f.server.OpenFetches() == 3*maxLoads && len(f.server.loads) == 0 })
	for range 10 {
		f.fetch(fields{"offset": 1}).wants(protocol.StatusEnd, "b")
	}
}

type failingKey struct {
	objectstore.Store
	key *atomic.Value
}

func (s *failingKey) ReadRange(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	if key == s.key.Load() {
		return nil, objectstore.ErrUnreachable
	}
	return s.Store.ReadRange(ctx, key, offset, length)
}

// The batches of one partition may be in many objects.
func TestRequestsOfALoadRunAtTheSameTime(t *testing.T) {
	var running atomic.Int64
	together := make(chan struct{})
	f, _, _ := newFaulty(t, func(s *faultyStore, _ *Config) {
		s.instead = func(ctx context.Context, _ int) error {
			if running.Add(1) == objectstore.RequestsAtOnce {
				close(together)
			}
			select {
			case <-together:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
	want := []string{"a", "b", "c"}
	for i := range 2 * objectstore.RequestsAtOnce {
		want = append(want, fmt.Sprint(i))
		f.commit(lines(want[len(want)-1]))
	}
	f.fetch(fields{"from": "earliest"}).wants(protocol.StatusEnd, want...)
}

func TestAFailedRequestStopsTheLoad(t *testing.T) {
	f, store, _ := newFaulty(t, func(s *faultyStore, c *Config) {
		c.StorePatience = time.Nanosecond
		s.instead = func(context.Context, int) error { return objectstore.ErrUnreachable }
	})
	for i := range 100 {
		f.commit(lines(fmt.Sprint(i)))
	}
	f.fetch(fields{"from": "earliest"}).fails(protocol.CodeStoreUnavailable)
	if reads, _ := store.counts(); reads > 2*objectstore.RequestsAtOnce {
		t.Errorf("%d requests to a store that is away", reads)
	}
}

func TestOneDamagedObjectAmongManyIsReported(t *testing.T) {
	var spoilt atomic.Value
	spoilt.Store([]byte("nothing"))
	f, _, _ := newFaulty(t, func(s *faultyStore, _ *Config) {
		s.after = func(_ int, content []byte) error {
			if i := bytes.Index(content, spoilt.Load().([]byte)); i >= 0 {
				content[i]++
			}
			return nil
		}
	})
	want := []string{"a", "b", "c"}
	for i := range 20 {
		want = append(want, fmt.Sprintf("record %d.", i))
		f.commit(lines(want[len(want)-1]))
	}
	spoilt.Store([]byte("record 10."))
	values, last := f.fetch(fields{"from": "earliest"}).rest()
	if !slices.Equal(values, want[:13]) {
		t.Errorf("got %q", values)
	}
	expectGap(t, last, 13, 13)
	f.fetch(fields{"offset": 14}).wants(protocol.StatusEnd, want[14:]...)
}

func TestAnswerThatAnObjectIsNotThereIsVerified(t *testing.T) {
	torn := &objectstore.CorruptError{Damage: objectstore.Torn, Reason: "injected"}
	for name, absent := range map[string]error{"no object": objectstore.ErrNotFound, "a short object": torn} {
		t.Run(name, func(t *testing.T) {
			f, store, _ := newFaulty(t, func(s *faultyStore, _ *Config) {
				s.instead = func(_ context.Context, n int) error {
					if n <= 2 {
						return fmt.Errorf("injected: %w", absent)
					}
					return nil
				}
			})
			f.fetch(fields{"offset": 0}).wants(protocol.StatusEnd, "a", "b", "c")
			if _, anew := store.counts(); anew == 0 {
				t.Error("it was read again over the same connection")
			}
		})
	}
}

// Batches of one partition may lie far apart in an object with many.
func TestPayloadsThatLieFarApartKeepNothingBetweenThemInMemory(t *testing.T) {
	const count, size, distance = 64, 1 << 10, 60 << 10
	store, err := objectstore.Open(t.TempDir(), 0)
	must(t, err)
	defer store.Close()
	key, err := objectstore.NewKey(time.Now(), nil)
	must(t, err)
	must(t, store.Put(t.Context(), key, [][]byte{make([]byte, count*distance)}))
	server := New(Config{Store: store})
	defer server.cancel(nil)
	var extents []messages.Extent
	for i := range int64(count) {
		extents = append(extents, messages.Extent{Key: key, Offset: i * distance, Length: size, CRC: objectstore.Checksum(make([]byte, size))})
	}
	l := server.load(extents)
	held := heapOf(func() { server.reader.read(t.Context(), l) })
	for i, p := range l.payloads {
		if p.Err != nil || len(p.Bytes) != size {
			t.Fatalf("payload %d: %d bytes, %v", i, len(p.Bytes), p.Err)
		}
	}
	if held > 4*count*size {
		t.Errorf("%d bytes are held for %d", held, count*size)
	}
}
