package stager

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/telemetry"
	"laneway.dev/services/stager/core"
)

var readings = []telemetry.Reading{
	{Name: "laneway.stager.batches", Description: "Batches staged", Unit: "{batch}", Counter: true},
	{Name: "laneway.stager.objects", Description: "Objects stored", Unit: "{object}", Counter: true},
	{Name: "laneway.stager.bytes", Description: "Bytes of the objects stored", Unit: "By", Counter: true},
	{Name: "laneway.stager.refused", Description: "Batches refused", Unit: "{batch}", Counter: true},
	{Name: "laneway.stager.upload.failures", Description: "Uploads that failed, after all retries", Unit: "{upload}", Counter: true},
	{Name: "laneway.stager.upload.retries", Description: "Puts of an object that followed a failed one", Unit: "{retry}", Counter: true},
	{Name: "laneway.stager.upload.hedges", Description: "Puts of an object beside one that was late", Unit: "{put}", Counter: true},
	{Name: "laneway.stager.uploads", Description: "Uploads in flight", Unit: "{upload}"},
	{Name: "laneway.stager.uploads.limit", Description: "Uploads that may be in flight at present", Unit: "{upload}"},
	{Name: "laneway.stager.waiting", Description: "Batches waiting for an upload", Unit: "{batch}"},
	{Name: "laneway.stager.memory", Description: "Memory of the batches that are not answered", Unit: "By"},
	{Name: "laneway.stager.dropped", Description: "Messages that were dropped because they arrived faster than they were taken", Unit: "{message}", Counter: true},
	{Name: "laneway.stager.malformed", Description: "Internal messages that could not be read", Unit: "{message}", Counter: true},
}

// values returns what the readings are, in their order.
func (s *Service) values() []int64 {
	t := s.Stats()
	return []int64{
		int64(t.Batches), int64(t.Objects), int64(t.Bytes), int64(t.Refused), int64(t.Failures), int64(t.Retries), int64(t.Hedges),
		int64(t.Uploading), int64(t.Limit), int64(t.Waiting), t.Held,
		int64(s.Wire.Dropped()), int64(s.Wire.Malformed()),
	}
}

// Stats returns what happened so far.
func (s *Service) Stats() core.Stats {
	var sum core.Stats
	if t := s.stats.Load(); t != nil {
		sum = *t
	}
	sum.Refused += s.turnedAway.Load()
	sum.Retries, sum.Hedges = s.uploader.retries.Load(), s.uploader.hedges.Load()
	return sum
}

// storeMetrics are the metrics of requests to the object store. It is safe for concurrent use;
// nil records nothing.
type storeMetrics struct {
	requests metric.Int64Counter
	duration metric.Float64Histogram
}

func newStoreMetrics(meter metric.Meter) (*storeMetrics, error) {
	requests, err := meter.Int64Counter("laneway.stager.store.requests",
		metric.WithDescription("Requests to the object store, by operation and result"), metric.WithUnit("{request}"))
	if err != nil {
		return nil, err
	}
	duration, err := meter.Float64Histogram("laneway.stager.store.duration",
		metric.WithDescription("How long requests to the object store took, by operation and result"), metric.WithUnit("s"),
		metric.WithExplicitBucketBoundaries(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30))
	return &storeMetrics{requests, duration}, err
}

// put records a put.
func (m *storeMetrics) put(ctx context.Context, took time.Duration, err error) {
	if m == nil {
		return
	}
	of := metric.WithAttributes(attribute.String("operation", "put"), attribute.String("result", resultOf(err)))
	m.requests.Add(ctx, 1, of)
	m.duration.Record(ctx, took.Seconds(), of)
}

// resultOf returns the result of a request as metrics name it.
func resultOf(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.Is(err, objectstore.ErrFull):
		return "full"
	}
	return "failed"
}
