// Package measured records metrics of the requests to an object store. It changes neither the
// requests nor their results.
package measured

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"laneway.dev/internal/objectstore"
)

// store is a store whose puts and reads are measured. Other requests are rare, and are not.
type store struct {
	objectstore.Store
	requests metric.Int64Counter
	duration metric.Float64Histogram
}

// New returns a store that records its puts and reads, by operation and result, in the metrics
// <prefix>.store.requests and <prefix>.store.duration.
func New(under objectstore.Store, meter metric.Meter, prefix string) (objectstore.Store, error) {
	requests, err := meter.Int64Counter(prefix+".store.requests",
		metric.WithDescription("Requests to the object store, by operation and result"), metric.WithUnit("{request}"))
	if err != nil {
		return nil, err
	}
	duration, err := meter.Float64Histogram(prefix+".store.duration",
		metric.WithDescription("How long requests to the object store took, by operation and result"), metric.WithUnit("s"),
		metric.WithExplicitBucketBoundaries(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30))
	return &store{under, requests, duration}, err
}

// Put implements objectstore.Store.
func (s *store) Put(ctx context.Context, key string, parts [][]byte) error {
	began := time.Now()
	err := s.Store.Put(ctx, key, parts)
	s.record("put", began, err)
	return err
}

// ReadRange implements objectstore.Store.
func (s *store) ReadRange(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	began := time.Now()
	content, err := s.Store.ReadRange(ctx, key, offset, length)
	s.record("read", began, err)
	return content, err
}

// Below implements objectstore.Store.
func (s *store) Below(cluster string) objectstore.Store {
	return &store{s.Store.Below(cluster), s.requests, s.duration}
}

func (s *store) record(operation string, began time.Time, err error) {
	of := metric.WithAttributes(attribute.String("operation", operation), attribute.String("result", resultOf(err)))
	s.requests.Add(context.Background(), 1, of)
	s.duration.Record(context.Background(), time.Since(began).Seconds(), of)
}

// results are the results of failed requests.
var results = []struct {
	err  error
	name string
}{
	{context.Canceled, "canceled"},
	{context.DeadlineExceeded, "timeout"},
	{objectstore.ErrFull, "full"},
	{objectstore.ErrThrottled, "throttled"},
	{objectstore.ErrUnreachable, "unreachable"},
	{objectstore.ErrShort, "short"},
	{objectstore.ErrDigest, "altered"},
	{objectstore.ErrNotFound, "missing"},
	{objectstore.ErrDenied, "denied"},
	{objectstore.ErrCredentials, "denied"},
	{objectstore.ErrClock, "denied"},
}

// resultOf returns the result of a request as metrics name it.
func resultOf(err error) string {
	if err == nil {
		return "ok"
	}
	for _, r := range results {
		if errors.Is(err, r.err) {
			return r.name
		}
	}
	if _, corrupt := errors.AsType[*objectstore.CorruptError](err); corrupt {
		return "corrupt"
	}
	return "failed"
}
