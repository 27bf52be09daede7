package stager

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"laneway.dev/internal/fault"
	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/stager/core"
)

// putFunc is a store of which only Put is used.
type putFunc func(ctx context.Context, key string, parts [][]byte) error

func (f putFunc) Put(ctx context.Context, key string, parts [][]byte) error {
	return f(ctx, key, parts)
}

func (putFunc) Room() error { return nil }

func (putFunc) ReadRange(context.Context, string, int64, int64) ([]byte, error) {
	return nil, errors.New("not used")
}

func (putFunc) List(context.Context, string) iter.Seq2[objectstore.Listed, error] { return nil }

func (putFunc) Delete(context.Context, string) error { return errors.New("not used") }

func (f putFunc) Below(string) objectstore.Store { return f }

func (putFunc) Mark(context.Context, []byte) error { return errors.New("not used") }

func (putFunc) Marker(context.Context) ([]byte, error) { return nil, errors.New("not used") }

func (putFunc) Close() error { return nil }

// object returns an object of batches with these times left, from now on.
func object(left ...time.Duration) *core.Object {
	o := &core.Object{}
	for i, d := range left {
		b := core.Batch{StageBatch: batch("a", uint64(i+1), 100), Partition: orders0, Epoch: epoch, Arrived: time.Now()}
		b.Deadline = b.Arrived.Add(d)
		o.Batches = append(o.Batches, b)
		o.Bytes += 100
	}
	return o
}

func newUploader(put putFunc, faults *fault.Faults) *uploader {
	return &uploader{store: put, packer: newPacker(), faults: faults, log: zap.NewNop(), failed: func(core.PutFailed) {}, generation: func() uint64 { return 7 }}
}

func mustFaults(t *testing.T, specs ...string) *fault.Faults {
	t.Helper()
	faults, err := fault.Parse(specs, 1)
	if err != nil {
		t.Fatal(err)
	}
	return faults
}

func wantFailed(t *testing.T, u core.Uploaded, code protocol.Code, detail string) {
	t.Helper()
	if u.Failed == nil || u.Failed.Code != code || !strings.Contains(u.Failed.Detail, detail) {
		t.Errorf("the upload ends with %v, want %s with %q", u.Failed, code.Kind().Name, detail)
	}
}

func TestFailedPutIsRepeatedUnderANewKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var keys []string
		u := newUploader(func(_ context.Context, key string, _ [][]byte) error {
			if keys = append(keys, key); len(keys) < 4 {
				return errors.New("connection reset")
			}
			return nil
		}, nil)
		result := u.upload(t.Context(), object(30*time.Second), fate{})
		if result.Failed != nil {
			t.Fatalf("the upload failed: %v", result.Failed)
		}
		seen := make(map[string]bool)
		for _, k := range keys {
			seen[k] = true
		}
		if len(keys) != 4 || len(seen) != 4 {
			t.Errorf("puts under %v, want four keys", keys)
		}
		if got := result.Extents[0].Key; got != keys[3] {
			t.Errorf("the extent is in %s, want the object that was stored, %s", got, keys[3])
		}
		if got := u.retries.Load(); got != 3 {
			t.Errorf("%d retries counted, want 3", got)
		}
	})
}

func TestFullStoreIsNotAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries, began := 0, time.Now()
		u := newUploader(func(context.Context, string, [][]byte) error {
			tries++
			return fmt.Errorf("put: %w", objectstore.ErrFull)
		}, nil)
		wantFailed(t, u.upload(t.Context(), object(5*time.Second), fate{}), protocol.CodeStoreUnavailable, objectstore.ErrFull.Error())
		if took := time.Since(began); tries != 1 || took != 0 {
			t.Errorf("refused after %d tries and %v, want one try and no wait", tries, took)
		}
	})
}

func TestRetriesEndByTheLatestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		u := newUploader(func(context.Context, string, [][]byte) error { return errors.New("gone") }, nil)
		result := u.upload(t.Context(), object(100*time.Millisecond, 20*time.Second, time.Second), fate{})
		wantFailed(t, result, protocol.CodeStoreUnavailable, "gone")
		// The last wait that would have been too long is not waited for.
		if took := time.Since(began); took < 16*time.Second || took > 20*time.Second {
			t.Errorf("given up after %v, want shortly before 20s", took)
		}
	})
}

func TestHangingPutEndsAtTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		u := newUploader(func(ctx context.Context, _ string, _ [][]byte) error {
			<-ctx.Done()
			return ctx.Err()
		}, nil)
		wantFailed(t, u.upload(t.Context(), object(time.Second), fate{}), protocol.CodeStoreUnavailable, "deadline")
		if took := time.Since(began); took != time.Second {
			t.Errorf("given up after %v, want 1s", took)
		}
	})
}

func TestLatePutThatSucceedsIsStaged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newUploader(func(context.Context, string, [][]byte) error {
			<-time.After(2 * time.Second)
			return nil
		}, nil)
		if result := u.upload(t.Context(), object(time.Second), fate{}); result.Failed != nil {
			t.Errorf("a batch that is durable is refused: %v", result.Failed)
		}
	})
}

func TestCanceledUploadRefusesAsBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		u := newUploader(func(context.Context, string, [][]byte) error { return errors.New("gone") }, nil)
		time.AfterFunc(time.Second, cancel)
		began := time.Now()
		wantFailed(t, u.upload(ctx, object(time.Hour), fate{}), protocol.CodeStagerBusy, "stopping")
		if took := time.Since(began); took != time.Second {
			t.Errorf("ended after %v, want 1s", took)
		}
	})
}

func TestObjectKeepsEverythingAboutItsBatches(t *testing.T) {
	o := object(time.Minute, time.Minute)
	o.Batches[0].Sequence = messages.Sequence{ProducerID: 7, ProducerEpoch: 2, First: 41}
	o.Batches[1].MessageID = "once"
	var stored []byte
	u := newUploader(func(_ context.Context, _ string, parts [][]byte) error {
		stored = bytes.Join(parts, nil)
		return nil
	}, nil)
	if uploaded := u.upload(t.Context(), o, fate{}); uploaded.Failed != nil {
		t.Fatal(uploaded.Failed)
	}
	at := 0
	for found, err := range objectstore.Scan("k", bytes.NewReader(stored), int64(len(stored))) {
		if err != nil {
			t.Fatal(err)
		}
		b := &o.Batches[at]
		want := objectstore.Batch{Batch: b.Batch, Partition: b.Partition, Epoch: b.Epoch, Payload: b.Payload}
		want.Floor = 0
		found.Payload = stored[found.Extent.Offset : found.Extent.Offset+found.Extent.Length]
		if !reflect.DeepEqual(found.Batch, want) {
			t.Errorf("the object has %+v, want %+v", found.Batch, want)
		}
		at++
	}
	if at != len(o.Batches) {
		t.Errorf("the object has %d batches, want %d", at, len(o.Batches))
	}
}

func TestObjectThatCannotBeBuiltIsNotRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := object(30 * time.Second)
		o.Batches[0].Lane = strings.Repeat("x", (1<<16-1)+1)
		u := newUploader(func(context.Context, string, [][]byte) error { return nil }, nil)
		wantFailed(t, u.upload(t.Context(), o, fate{}), protocol.CodeStoreUnavailable, "lane of 65536 bytes")
		if got := u.retries.Load(); got != 0 {
			t.Errorf("%d retries, want none", got)
		}
	})
}

func TestInjectedFailureIsFinal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		puts := 0
		u := newUploader(func(context.Context, string, [][]byte) error { puts++; return nil }, mustFaults(t, "stage.fail=1"))
		wantFailed(t, u.upload(t.Context(), object(time.Second), u.draw()), protocol.CodeStoreUnavailable, "injected fault")
		if puts != 0 {
			t.Errorf("%d puts, want none", puts)
		}
	})
}

func TestInjectedDelayComesBeforeThePut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var put time.Duration
		u := newUploader(func(context.Context, string, [][]byte) error { put = time.Since(began); return nil },
			mustFaults(t, "stage.delay=70ms"))
		u.upload(t.Context(), object(time.Second), u.draw())
		if put != 70*time.Millisecond {
			t.Errorf("put after %v, want 70ms", put)
		}
	})
}

func TestInjectedDelayBeyondTheDeadlineRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newUploader(func(context.Context, string, [][]byte) error { return nil }, mustFaults(t, "stage.delay=1h"))
		wantFailed(t, u.upload(t.Context(), object(time.Second), u.draw()), protocol.CodeStoreUnavailable, "stage.delay")
	})
}

func TestUploadsShareAnInjectedBandwidth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newUploader(func(context.Context, string, [][]byte) error { return nil }, mustFaults(t, "store.bandwidth=1KB/s"))
		began := time.Now()
		var bytes int64
		results := make(chan core.Uploaded)
		for range 3 {
			go func() { results <- u.upload(t.Context(), object(time.Minute), fate{}) }()
		}
		for range 3 {
			bytes += (<-results).Size
		}
		want := time.Duration(bytes) * time.Millisecond
		if took := time.Since(began); took < want-3*time.Millisecond || took > want+3*time.Millisecond {
			t.Errorf("%d bytes at 1 kB/s took %v, want %v", bytes, took, want)
		}
	})
}

// An upload may be over its time for another reason than the fault that was injected,
// and by the time at which the fault's wait ends.
func TestRefusalNamesTheFaultThatDelayedTheUpload(t *testing.T) {
	hang := func(ctx context.Context, _ string, _ [][]byte) error {
		<-ctx.Done()
		return fmt.Errorf("put: %w", ctx.Err())
	}
	for name, c := range map[string]struct {
		faults []string
		blamed string
	}{
		"a delay beyond the deadline":       {[]string{"stage.delay=2s"}, "stage.delay"},
		"a delay that ends at the deadline": {[]string{"stage.delay=1s"}, "stage.delay"},
		"a delay, then little bandwidth":    {[]string{"stage.delay=1ms", "store.bandwidth=1B/s"}, "store.bandwidth"},
		"a delay, then a store that hangs":  {[]string{"stage.delay=1ms", "store.bandwidth=1GB/s"}, "put: context deadline exceeded"},
		"no fault":                          {nil, "put: context deadline exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			for range 20 { // which of two timers at one moment comes first is up to the scheduler
				synctest.Test(t, func(t *testing.T) {
					u := newUploader(hang, mustFaults(t, c.faults...))
					result := u.upload(t.Context(), object(time.Second), u.draw())
					wantFailed(t, result, protocol.CodeStoreUnavailable, c.blamed)
					for _, setting := range []string{"stage.delay", "store.bandwidth"} {
						if setting != c.blamed && strings.Contains(result.Failed.Detail, setting) {
							t.Errorf("%s is blamed: %v", setting, result.Failed)
						}
					}
				})
			}
		})
	}
}

// keys collects the keys of puts, which may run at the same time.
type keys struct {
	mu  sync.Mutex
	all []string
}

// add returns how many puts there were, with this one.
func (k *keys) add(key string) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.all = append(k.all, key)
	return len(k.all)
}

// hedged returns an uploader that knows that puts usually take a second.
func hedged(put putFunc) *uploader {
	u := newUploader(put, nil)
	u.hedge = new(core.Hedge)
	for range 100 {
		u.hedge.Stored(time.Second)
	}
	return u
}

func TestLatePutIsRepeatedUnderAnotherKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var puts keys
		ended := make(chan error, 1)
		u := hedged(func(ctx context.Context, key string, _ [][]byte) error {
			if puts.add(key) == 1 {
				<-ctx.Done()
				ended <- ctx.Err()
				return ctx.Err()
			}
			<-time.After(time.Second)
			return nil
		})
		began := time.Now()
		result := u.upload(t.Context(), object(30*time.Second), fate{})
		keys := puts.all // no put is running any more
		if result.Failed != nil || len(keys) != 2 || keys[0] == keys[1] || result.Extents[0].Key != keys[1] {
			t.Errorf("puts under %v, the result is %+v; want two keys, and the second one in the result", keys, result)
		}
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("stored after %v, want 5s: four times the usual second, and one", took)
		}
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the first put ends with %v, want that it is canceled", err)
		}
		if got := u.hedges.Load(); got != 1 {
			t.Errorf("%d late puts counted, want 1", got)
		}
	})
}

func TestLatePutMayStillBeTheFirstToSucceed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var puts keys
		u := hedged(func(ctx context.Context, key string, _ [][]byte) error {
			if puts.add(key) == 1 {
				<-time.After(5 * time.Second)
				return nil
			}
			return errors.New("gone")
		})
		result := u.upload(t.Context(), object(30*time.Second), fate{})
		keys := puts.all // no put is running any more
		if result.Failed != nil || len(keys) != 2 || result.Extents[0].Key != keys[0] {
			t.Errorf("puts under %v, the result is %+v; want the first key", keys, result)
		}
	})
}

func TestStoreThatIsSlowAsAWholeGetsFewMorePuts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var puts atomic.Int64
		u := hedged(func(ctx context.Context, key string, _ [][]byte) error {
			puts.Add(1)
			<-time.After(20 * time.Second)
			return nil
		})
		for range 10 {
			u.upload(t.Context(), object(30*time.Second), fate{})
		}
		if n := puts.Load(); n > 14 {
			t.Errorf("%d puts of 10 objects, want at most 14", n)
		}
	})
}

func TestPutsPerSecondAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newUploader(func(context.Context, string, [][]byte) error { return nil }, nil)
		u.puts = rate.NewLimiter(10, 10)
		began := time.Now()
		for range 30 {
			if result := u.upload(t.Context(), object(30*time.Second), fate{}); result.Failed != nil {
				t.Fatal(result.Failed)
			}
		}
		if took := time.Since(began).Round(time.Millisecond); took != 2*time.Second {
			t.Errorf("30 puts took %v, want 2s: 10 at once, and 10 in each second", took)
		}
	})
}

// limitedFor lets no put begin for so many seconds.
func limitedFor(seconds int) *rate.Limiter {
	puts := rate.NewLimiter(1, 1)
	for range seconds {
		puts.Reserve()
	}
	return puts
}

func TestLimitedStagerRefusesAsBusyAndBlamesNoStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		puts, reported := 0, 0
		u := newUploader(func(context.Context, string, [][]byte) error { puts++; return nil }, nil)
		u.failed = func(core.PutFailed) { reported++ }
		u.puts = limitedFor(60)
		began := time.Now()
		wantFailed(t, u.upload(t.Context(), object(30*time.Second), fate{}), protocol.CodeStagerBusy, "limited to 1 puts per second")
		if took := time.Since(began); puts != 0 || reported != 0 || took != 0 {
			t.Errorf("%d puts and %d reports of failed ones after %v, want none and no wait", puts, reported, took)
		}
	})
}

func TestPutThatWaitsForItsTurnIsNotLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var puts keys
		u := hedged(func(_ context.Context, key string, _ [][]byte) error {
			puts.add(key)
			<-time.After(time.Second)
			return nil
		})
		u.puts = limitedFor(10)
		if result := u.upload(t.Context(), object(30*time.Second), fate{}); result.Failed != nil || len(puts.all) != 1 {
			t.Errorf("%d puts (%v), want one", len(puts.all), result.Failed)
		}
	})
}

func TestLatePutIsNotRepeatedBeyondTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var puts keys
		u := hedged(func(_ context.Context, key string, _ [][]byte) error {
			puts.add(key)
			<-time.After(10 * time.Second)
			return nil
		})
		u.puts = rate.NewLimiter(0.1, 1)
		if result := u.upload(t.Context(), object(30*time.Second), fate{}); result.Failed != nil || len(puts.all) != 1 {
			t.Errorf("%d puts (%v), want one", len(puts.all), result.Failed)
		}
	})
}

func TestFailedPutsAreReportedBeforeTheirUploadEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newUploader(func(context.Context, string, [][]byte) error { return errors.New("gone") }, nil)
		var reported []core.PutFailed
		u.failed = func(e core.PutFailed) { reported = append(reported, e) }
		began := time.Now()
		u.upload(t.Context(), object(time.Second), fate{})
		if len(reported) != int(u.retries.Load()) || len(reported) == 0 || !reported[0].Began.Equal(began) {
			t.Errorf("reported are %v, want each of %d failed puts, the first of %v", reported, u.retries.Load(), began)
		}
	})
}
