package stager

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"laneway.dev/internal/fault"
	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/messages"
	"laneway.dev/services/stager/core"
)

// final marks an error that another put of the object would return, too.
type final struct{ error }

func (f final) Unwrap() error { return f.error }

// errLimited means that an object was not put because the stager puts too many others. The store
// has no part in it.
var errLimited = errors.New("the stager is limited")

var errInjected = final{errors.New("injected fault: stage.fail")}

// uploader puts objects into the store. It is safe for concurrent use. Each upload has its own
// goroutine.
type uploader struct {
	store  objectstore.Store
	packer *packer
	faults *fault.Faults
	log    *zap.Logger
	spans  spans
	failed func(core.PutFailed) // is told of each failed put that is repeated
	puts   *rate.Limiter        // of puts; nil if they are not limited
	// generation returns the newest one that is known. An object is of the generation in which its
	// put begins: a later put of the same batches makes another object.
	generation func() uint64
	retries    atomic.Uint64
	hedges     atomic.Uint64
	logged     atomic.Int64 // when a full store or the limit was last logged, in nanoseconds

	mu    sync.Mutex
	hedge *core.Hedge // guarded by mu; nil if late puts are not repeated
}

// fate is what the injected faults do to one upload.
type fate struct {
	delay time.Duration
	fail  bool
}

// draw returns the injected faults of the next upload. If draw is called in the order in
// which objects are closed, the same seed gives the same objects the same faults.
func (u *uploader) draw() fate { return fate{delay: u.faults.Delay(), fail: u.faults.Fail()} }

// result is an object that is durable in the store.
type result struct {
	key     string
	size    int64
	extents []messages.Extent
}

// upload repeats the put of an object until it succeeds or the core decides against another
// attempt. A put ends at the object's deadline, or when ctx ends.
func (u *uploader) upload(ctx context.Context, object *core.Object, fate fate) core.Uploaded {
	limited, cancel := context.WithDeadline(ctx, object.Deadline())
	defer cancel()
	span := u.spans.begin()
	attempts := core.NewAttempts(object)
	began := time.Now()
	pack := u.packer.pack(object)
	done, err := u.firstPut(limited, object, pack, fate)
	for err != nil {
		failure := failureOf(err)
		failure.Stopped = ctx.Err() != nil
		pause, refused := attempts.Failed(time.Now(), failure, rand.Float64())
		if refused != nil {
			u.spans.end(span, object, result{}, err)
			u.logRefused(object, failure, err)
			return core.Uploaded{Object: object, Failed: refused}
		}
		u.failed(core.PutFailed{Began: began})
		u.retries.Add(1)
		u.log.Warn("an object could not be stored; trying again", zap.Duration("pause", pause), zap.Error(err))
		sleep(limited, pause)
		began = time.Now()
		done, err = u.put(limited, object, pack)
	}
	u.spans.end(span, object, done, nil)
	return core.Uploaded{Object: object, Size: done.size, Extents: done.extents}
}

func failureOf(err error) core.Failure {
	var permanent final
	return core.Failure{Detail: err.Error(), Full: errors.Is(err, objectstore.ErrFull), Final: errors.As(err, &permanent), Limited: errors.Is(err, errLimited)}
}

// logRefused logs that an object was not stored. A full store and a limited stager are logged
// once a second: producers send again at once, and a line for each object would fill the disk
// as well.
func (u *uploader) logRefused(object *core.Object, f core.Failure, err error) {
	if f.Stopped {
		return // another stager takes the batches
	}
	if now, last := time.Now().UnixNano(), u.logged.Load(); (f.Full || f.Limited) && (now-last < int64(time.Second) || !u.logged.CompareAndSwap(last, now)) {
		return
	}
	u.log.Error("an object could not be stored; its batches are refused",
		zap.Int("batches", len(object.Batches)), zap.Int64("bytes", object.Bytes), zap.Error(err))
}

// firstPut is the put that injected faults befall.
func (u *uploader) firstPut(ctx context.Context, object *core.Object, pack packed, fate fate) (result, error) {
	if err := hold(ctx, "stage.delay", fate.delay); err != nil {
		return result{}, err
	}
	if fate.fail {
		return result{}, errInjected
	}
	return u.put(ctx, object, pack)
}

// put stores the object when it is its turn. If the store takes far longer than usual, put
// stores it once more under another key, and takes what is stored first. It returns when no
// put is running.
func (u *uploader) put(ctx context.Context, object *core.Object, pack packed) (result, error) {
	if err := u.turn(ctx); err != nil {
		return result{}, err
	}
	late := u.late()
	if late == 0 {
		return u.putOnce(ctx, object, pack)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type outcome struct {
		result
		err error
	}
	outcomes := make(chan outcome, 2)
	begin := func() {
		r, err := u.putOnce(ctx, object, pack)
		outcomes <- outcome{r, err}
	}
	timer := time.NewTimer(late)
	defer timer.Stop()
	go begin()
	var first *outcome
	for running := 1; running > 0; {
		select {
		case o := <-outcomes:
			running--
			if o.err == nil {
				cancel() // ends the other put, if there is one
			}
			if first == nil || first.err != nil {
				first = &o
			}
		case <-timer.C:
			if first == nil && u.mayHedge() {
				u.hedges.Add(1)
				running++
				go begin()
			}
		}
	}
	return first.result, first.err
}

// late returns after how long a put is repeated; 0 if it is not.
func (u *uploader) late() time.Duration {
	if u.hedge == nil {
		return 0
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.hedge.Late()
}

// mayHedge reports whether a late put may be repeated. It never waits for a turn: a stager that
// is limited has other objects to put.
func (u *uploader) mayHedge() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.hedge.Take() && (u.puts == nil || u.puts.Allow())
}

// turn waits until the limit of puts per second allows another one. It fails at once if that
// is after the deadline of ctx.
func (u *uploader) turn(ctx context.Context) error {
	if err := ctx.Err(); err != nil || u.puts == nil {
		return err
	}
	if err := u.puts.Wait(ctx); err != nil {
		return fmt.Errorf("%w to %v puts per second: %w", errLimited, u.puts.Limit(), err)
	}
	return nil
}

// putOnce builds the object with a new key and stores it. The store may have the object even
// after an error, so the key is never used again.
func (u *uploader) putOnce(ctx context.Context, object *core.Object, pack packed) (result, error) {
	if err := ctx.Err(); err != nil {
		return result{}, err
	}
	key, err := objectstore.NewBatchesKey(u.generation(), time.Now(), nil)
	if err != nil {
		return result{}, err
	}
	builder, extents, err := build(key, object, pack)
	if err != nil {
		return result{}, final{err}
	}
	if err := hold(ctx, "store.bandwidth", u.faults.Bandwidth(time.Now(), builder.Size())); err != nil {
		return result{}, fmt.Errorf("put object %q: %w", key, err)
	}
	began := time.Now()
	err = u.store.Put(ctx, key, builder.Parts())
	took := time.Since(began)
	if err != nil {
		return result{}, err
	}
	if u.hedge != nil {
		u.mu.Lock()
		u.hedge.Stored(took)
		u.mu.Unlock()
	}
	return result{key: key, size: builder.Size(), extents: extents}, nil
}

// build builds the object with a key, and returns the extents of its batches in it.
func build(key string, object *core.Object, pack packed) (*objectstore.Builder, []messages.Extent, error) {
	builder := objectstore.NewBuilder(key)
	extents := make([]messages.Extent, len(object.Batches))
	for i := range object.Batches {
		if pack.has(i) {
			continue
		}
		extent, err := builder.Add(stored(&object.Batches[i]))
		if err != nil {
			return nil, nil, err
		}
		extents[i] = extent
	}
	for _, block := range pack.blocks {
		for n, extent := range builder.AddBlock(block.Block) {
			extents[block.batches[n]] = extent
		}
	}
	return builder, extents, nil
}

// hold waits for an injected fault. If ctx ends before the wait does, it returns an error
// that names the fault.
func hold(ctx context.Context, setting string, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	sleep(ctx, d)
	err := ctx.Err()
	if deadline, ok := ctx.Deadline(); err == nil && ok && !time.Now().Before(deadline) {
		err = context.DeadlineExceeded // the timer of ctx has not fired yet
	}
	if err != nil {
		return fmt.Errorf("delayed by an injected fault: %s: %w", setting, err)
	}
	return nil
}

// sleep returns after a time, or when ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
