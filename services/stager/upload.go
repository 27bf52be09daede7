package stager

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"go.uber.org/zap"

	"laneway.dev/internal/fault"
	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

var errInjected = errors.New("injected fault: stage.fail")

// uploader puts objects into the store. It is safe for concurrent use; each
// upload runs on a goroutine of its own.
type uploader struct {
	store   objectstore.Store
	faults  *fault.Faults
	log     *zap.Logger
	spans   spans
	retries atomic.Uint64
	told    atomic.Int64 // when it was last logged that the store is full, in nanoseconds
}

// fate is what the injected faults do to one upload.
type fate struct {
	delay time.Duration
	fail  bool
}

// draw decides about the next upload. Called in the order in which objects are
// closed, it gives the same fates to the same objects.
func (u *uploader) draw() fate { return fate{delay: u.faults.Delay(), fail: u.faults.Fail()} }

// stored is an object that the store holds durably.
type stored struct {
	key     string
	size    int64
	extents []messages.Extent
}

// upload stores an object, for as long as one of its batches has time left and
// ctx lives.
func (u *uploader) upload(ctx context.Context, object *Object, fate fate) Uploaded {
	deadline := object.Deadline()
	limited, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	span := u.spans.begin()
	result, err := u.try(limited, object, deadline, fate)
	u.spans.end(span, object, result, err)
	switch {
	case err == nil:
		return Uploaded{Object: object, Size: result.size, Extents: result.extents}
	case ctx.Err() != nil:
		return Uploaded{Object: object, Failed: errEnding}
	}
	if !errors.Is(err, objectstore.ErrFull) || u.mayTell(time.Now()) {
		u.log.Error("an object could not be stored; its batches are refused",
			zap.Int("batches", len(object.Batches)), zap.Int64("bytes", object.Bytes), zap.Error(err))
	}
	return Uploaded{Object: object, Failed: protocol.NewError(protocol.CodeStoreUnavailable, err.Error())}
}

// mayTell says whether the log may have another line about a store that is full:
// one a second. Producers who send again at once would fill the disk with them.
func (u *uploader) mayTell(now time.Time) bool {
	last := u.told.Load()
	return now.UnixNano()-last >= int64(time.Second) && u.told.CompareAndSwap(last, now.UnixNano())
}

// try puts the object until that succeeds or the next try would come too late.
// A store that is full is not asked again: space comes back slowly, and producers
// who are told at once hold no memory here. An error is what the store said last.
func (u *uploader) try(ctx context.Context, object *Object, deadline time.Time, fate fate) (stored, error) {
	if err := hold(ctx, "stage.delay", fate.delay); err != nil {
		return stored{}, err
	}
	if fate.fail {
		return stored{}, errInjected
	}
	var last error
	result, err := backoff.Retry(ctx, func() (stored, error) {
		var result stored
		result, last = u.put(ctx, object)
		if errors.Is(last, objectstore.ErrFull) {
			return result, backoff.Permanent(last)
		}
		return result, last
	}, backoff.WithBackOff(pace()), backoff.WithMaxElapsedTime(time.Until(deadline)), backoff.WithNotify(u.retrying))
	if err != nil {
		return stored{}, last
	}
	return result, nil
}

func (u *uploader) retrying(err error, wait time.Duration) {
	u.retries.Add(1)
	u.log.Warn("an object could not be stored; trying again", zap.Duration("wait", wait), zap.Error(err))
}

// put lays the object out under a new key and stores it. After an error the key
// may hold an orphan, so it is never used again.
func (u *uploader) put(ctx context.Context, object *Object) (stored, error) {
	key, err := objectstore.NewKey(time.Now(), nil)
	if err != nil {
		return stored{}, err
	}
	builder := objectstore.NewBuilder(key)
	extents := make([]messages.Extent, len(object.Batches))
	for i := range object.Batches {
		b := &object.Batches[i]
		extents[i], err = builder.Add(objectstore.Batch{
			Partition: b.Partition, Lane: b.Lane, Epoch: b.Epoch, Number: b.Number, Records: b.Records,
			Sequence: b.Sequence, MessageID: b.MessageID, Payload: b.Payload,
		})
		if err != nil {
			return stored{}, backoff.Permanent(err)
		}
	}
	if err := hold(ctx, "store.bandwidth", u.faults.Bandwidth(time.Now(), builder.Size())); err != nil {
		return stored{}, fmt.Errorf("put object %q: %w", key, err)
	}
	if err := u.store.Put(ctx, key, builder.Parts()); err != nil {
		return stored{}, err
	}
	return stored{key: key, size: builder.Size(), extents: extents}, nil
}

// hold waits because an injected fault says so. It returns an error, which blames the
// fault, if ctx ends before the wait does; without a wait there is nothing to blame.
func hold(ctx context.Context, setting string, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	err := ctx.Err()
	if deadline, ok := ctx.Deadline(); err == nil && ok && !time.Now().Before(deadline) {
		err = context.DeadlineExceeded // ctx is about to say so
	}
	if err != nil {
		return fmt.Errorf("held up by an injected fault: %s: %w", setting, err)
	}
	return nil
}
