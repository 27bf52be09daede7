// Package generation keeps the present generation of a cluster's objects. It is a number in the
// bucket LANEWAY_GENERATION. What it is for, and what follows from it, is in
// internal/core/generation.
package generation

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	core "laneway.dev/internal/core/generation"
	"laneway.dev/internal/kvbucket"
	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/protocol"
)

const (
	bucket = "LANEWAY_GENERATION"
	key    = "newest"
)

// Cluster is where the generation is kept, and where it was used.
type Cluster struct {
	Conn  *nats.Conn
	JS    jetstream.JetStream
	Store objectstore.Store // the part with the objects of the cluster
}

// Open returns the present generation. If there is none, because the cluster is new or the
// bucket was lost, it begins above all generations that objects and logs name. Open retries until ctx ends.
func Open(ctx context.Context, c Cluster) (uint64, error) {
	return kvbucket.Repeat(ctx, func() (uint64, error) {
		found, err := c.open(ctx)
		if errors.Is(err, nats.ErrConnectionClosed) {
			err = backoff.Permanent(err)
		}
		return found, err
	}, nil)
}

func (c Cluster) open(ctx context.Context) (uint64, error) {
	found, _, err := read(ctx, c.Conn)
	if err != nil || found > 0 {
		return found, err
	}
	watermark, err := c.watermark(ctx)
	if err != nil {
		return 0, err
	}
	used, err := c.used(ctx)
	if err != nil {
		return 0, err
	}
	attempt, cancel := context.WithTimeout(ctx, kvbucket.AttemptTime)
	defer cancel()
	kv, err := kvbucket.OpenBucket(attempt, c.JS, bucket, "Laneway: the present generation of objects")
	if err != nil {
		return 0, fmt.Errorf("open bucket %s: %w", bucket, err)
	}
	// Another process may have been faster. Then its number counts.
	found, revision, err := read(ctx, c.Conn)
	if err != nil || found > 0 {
		return found, err
	}
	return write(attempt, kv, core.Above(used, watermark), revision)
}

// used returns the highest generation of any object.
func (c Cluster) used(ctx context.Context) (highest uint64, err error) {
	for object, err := range c.Store.List(ctx, "") {
		if err != nil {
			return 0, fmt.Errorf("find the newest generation of objects: %w", err)
		}
		highest = max(highest, objectstore.KeyGeneration(object.Key))
	}
	return highest, nil
}

// Raise replaces the generation by a higher one, which is also above the watermark; 0 stands for
// no watermark. known is what the caller takes for the present one. If the present one is higher,
// another process has raised it, and Raise returns that. After an error the generation may have been
// raised, which does no harm.
func Raise(ctx context.Context, conn *nats.Conn, js jetstream.JetStream, known, watermark uint64) (uint64, error) {
	found, revision, err := read(ctx, conn)
	switch {
	case err != nil:
		return 0, err
	case found == 0:
		return 0, errors.New("raise the generation: it is lost; a stager, an archiver or a frontend that starts finds a new one")
	case found > known:
		return found, nil
	}
	kv, err := js.KeyValue(ctx, bucket)
	if err != nil {
		return 0, fmt.Errorf("open bucket %s: %w", bucket, err)
	}
	return write(ctx, kv, core.Above(found, watermark), revision)
}

func write(ctx context.Context, kv jetstream.KeyValue, next, revision uint64) (uint64, error) {
	if _, err := kv.Update(ctx, key, []byte(strconv.FormatUint(next, 10)), revision); err != nil {
		return 0, fmt.Errorf("write generation %d: %w", next, err)
	}
	return next, nil
}

// Newest asks the leader of the bucket for the present generation; 0 if there is none.
func Newest(ctx context.Context, conn *nats.Conn) (uint64, error) {
	found, _, err := read(ctx, conn)
	return found, err
}

func read(ctx context.Context, conn *nats.Conn) (found, revision uint64, err error) {
	attempt, cancel := context.WithTimeout(ctx, kvbucket.AttemptTime)
	defer cancel()
	entry, err := kvbucket.Get(attempt, conn, bucket, key)
	if kvbucket.IsMissing(err) {
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, fmt.Errorf("read the present generation: %w", err)
	}
	if !entry.Exists {
		return 0, entry.Revision, nil
	}
	found, err = strconv.ParseUint(string(entry.Value), 10, 64)
	if err != nil || found == 0 {
		return 0, 0, protocol.Errorf(protocol.CodeCorrupt, "the present generation is %.40q, which is no generation; remove it with: nats stream rm KV_%s, and restart the stagers",
			entry.Value, bucket)
	}
	return found, entry.Revision, nil
}

// Follower knows the newest generation that it has read. It is safe for concurrent use.
type Follower struct {
	conn   *nats.Conn
	js     jetstream.JetStream
	newest atomic.Uint64
}

// Start opens the generation and returns a follower that knows it. Run keeps it up to date.
func Start(ctx context.Context, c Cluster) (*Follower, error) {
	known, err := Open(ctx, c)
	if err != nil {
		return nil, err
	}
	return NewFollower(c.Conn, c.JS, known), nil
}

// NewFollower returns a follower that knows a generation; 0 if none is known.
func NewFollower(conn *nats.Conn, js jetstream.JetStream, known uint64) *Follower {
	f := &Follower{conn: conn, js: js}
	f.newest.Store(known)
	return f
}

// Newest returns the newest generation that is known; 0 if none is. It never falls, also if the
// bucket is restored from a copy.
func (f *Follower) Newest() uint64 { return f.newest.Load() }

// Found notes a generation from another source, such as a message.
func (f *Follower) Found(generation uint64) {
	for {
		known := f.newest.Load()
		if generation <= known || f.newest.CompareAndSwap(known, generation) {
			return
		}
	}
}

// restore raises the generation in the bucket above the newest one that is known. The bucket was
// restored from a copy: stagers that start later would name their objects after a generation that
// logs refuse. A failure does no harm, because the next read tries again.
func (f *Follower) restore(ctx context.Context, log *zap.Logger, found uint64) {
	attempt, cancel := context.WithTimeout(ctx, kvbucket.AttemptTime)
	defer cancel()
	if raised, err := Raise(attempt, f.conn, f.js, found, f.Newest()-core.Lag); err == nil {
		log.Warn("the present generation of objects was lower than one before, as after a restore from a copy; it is raised above that",
			zap.Uint64("found", found), zap.Uint64("raised", raised))
		f.Found(raised)
	}
}

// followInterval is the time between two reads of the generation. It is far below the time in which
// the generation rises.
const followInterval = time.Second

// Run reads the generation again and again until ctx ends, and calls risen, unless that is nil,
// each time that it has risen.
func (f *Follower) Run(ctx context.Context, log *zap.Logger, risen func(uint64)) {
	ticker := time.NewTicker(followInterval)
	defer ticker.Stop()
	failing := false
	for {
		before := f.Newest()
		found, err := Newest(ctx, f.conn)
		if ctx.Err() != nil {
			return
		}
		if corrupt := errors.Is(err, protocol.NewError(protocol.CodeCorrupt, "")); corrupt != failing {
			if failing = corrupt; corrupt {
				log.Error("the present generation cannot be read, so no object is deleted from the store", zap.Error(err))
			}
		}
		if f.Found(found); err == nil && found > 0 && found < f.Newest() {
			f.restore(ctx, log, found)
		}
		if now := f.Newest(); now > before && risen != nil {
			risen(now)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
