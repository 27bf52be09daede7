package archiver

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"laneway.dev/internal/generation"
	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/messages"
	"laneway.dev/services/archiver/core"
)

const (
	// readTimeout bounds one request for frames.
	readTimeout = 30 * time.Second
	// readRange is how many bytes one request reads, unless a single frame is longer.
	readRange = 4 << 20
)

// errStopping is the cause with which the work ends when the archiver stops.
var errStopping = errors.New("the archiver is stopping")

// worker does jobs. It is safe for concurrent use.
type worker struct {
	conn       *nats.Conn
	js         jetstream.JetStream
	store      objectstore.Store
	generation *generation.Follower
	extents    *objectstore.Extents
	limit      int64         // of the memory of a job, in bytes
	patience   time.Duration // see Config.Patience
	log        *zap.Logger
	spans      spans
	duration   metric.Float64Histogram
	unmerged   unmerged
	settled    atomic.Bool // see settle
	unsettled  atomic.Bool // it was logged that it is not settled
}

func newWorker(config Config, js jetstream.JetStream, store objectstore.Store, follower *generation.Follower) (*worker, error) {
	duration, err := config.Telemetry.Meter(role).Float64Histogram("laneway.archiver.duration",
		metric.WithDescription("How long jobs took, by result"), metric.WithUnit("s"),
		metric.WithExplicitBucketBoundaries(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600))
	return &worker{
		conn: config.Conn, js: js, store: store, generation: follower,
		extents: objectstore.NewExtents(objectstore.ExtentsConfig{Store: store, Timeout: readTimeout, Range: readRange}),
		limit:   config.JobBytes, patience: config.Patience, log: config.Logger, spans: newSpans(config.Telemetry), duration: duration,
	}, err
}

// do works on a job until it is done or has failed.
func (w *worker) do(ctx context.Context, job messages.Archive) core.Finished {
	began, end := time.Now(), w.spans.begin(job)
	w.generation.Found(job.Generation)
	lowest := w.generation.Newest() // objects that are stored later are of this generation or a newer one
	result, err := w.archive(ctx, job)
	result.Generation = lowest
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	end(result, err)
	w.record(began, err)
	fields := []zap.Field{zap.Stringer("partition", job.Partition), zap.Int64("from", job.Base.End.Offset), zap.Int64("to", job.To.Offset)}
	switch {
	case errors.Is(err, errStopping):
		return core.Finished{Job: job, Failed: err.Error()}
	case err != nil:
		w.log.Error("a part of a log could not be archived; its replicator tries again", append(fields, zap.Error(err))...)
		return core.Finished{Job: job, Failed: err.Error()}
	case result.Damaged > 0:
		w.log.Error("a part of a log is archived, but some records could not be read and are lost; consumers get CORRUPT for their offsets",
			append(fields, zap.Int64("damaged", result.Damaged), zap.String("segment", result.Segment))...)
	default:
		w.log.Debug("archived", append(fields, zap.Int64("records", result.Records), zap.Int64("bytes", result.Bytes),
			zap.Int("merged", result.Merged), zap.String("segment", result.Segment), zap.Duration("took", time.Since(began)))...)
	}
	return core.Finished{Job: job, Result: result}
}

func (w *worker) record(began time.Time, err error) {
	result := "archived"
	if err != nil {
		result = "failed"
	}
	w.duration.Record(context.Background(), time.Since(began).Seconds(), metric.WithAttributes(attribute.String("result", result)))
}

// archive does the steps of a job. Nothing is true before the owner of the log has appended the
// result, so a step that fails needs no clean-up.
func (w *worker) archive(ctx context.Context, job messages.Archive) (core.Result, error) {
	base, err := w.base(ctx, job)
	if err != nil {
		return core.Result{}, err
	}
	held := w.held(ctx)
	if left := base.Waiting; held {
		core.Leave(base, left)
	} else {
		core.Leave(base, w.deleteWaiting(ctx, job.Partition, left))
	}
	next, err := w.retain(ctx, base, job.Retain)
	if err != nil {
		return core.Result{}, err
	}
	if core.Drops(job) {
		history, err := w.putManifest(ctx, job, base, next)
		return core.Result{History: history}, err
	}
	plan, err := w.entries(ctx, job)
	if err != nil {
		return core.Result{}, fmt.Errorf("read the log: %w", err)
	}
	if err := w.frames(ctx, job, plan); err != nil {
		return core.Result{}, err
	}
	if !held {
		w.merge(ctx, job, plan, next)
	}
	stored, err := w.putSegment(ctx, plan)
	if err != nil {
		return core.Result{}, err
	}
	if next, err = w.list(ctx, plan, next, stored); err != nil {
		return core.Result{}, err
	}
	// The bytes of the new segment may drop older ones, and a truncation drops the segment itself.
	if next, err = w.retain(ctx, next, job.Retain); err != nil {
		return core.Result{}, err
	}
	history, err := w.putManifest(ctx, job, base, next)
	return plan.Result(&stored, history), err
}
