package measured

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"laneway.dev/internal/objectstore"
)

func TestRequestsAreCountedByOperationAndResult(t *testing.T) {
	reader := sdk.NewManualReader()
	local, err := objectstore.Open(t.TempDir(), 0)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := New(local, sdk.NewMeterProvider(sdk.WithReader(reader)).Meter("test"), "laneway.test")
	if err != nil {
		t.Fatal(err)
	}
	store := whole.Below("cluster")
	key, err := objectstore.NewKey(time.Now(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Put(t.Context(), key, [][]byte{[]byte("content")}); err != nil {
		t.Fatal(err)
	}
	for _, length := range []int64{3, 7, 8} {
		_, _ = store.ReadRange(t.Context(), key, 0, length)
	}
	_, _ = store.ReadRange(t.Context(), "objects/none", 0, 1)
	got := counts(t, reader)
	for result, want := range map[string]int64{"put ok": 1, "read ok": 2, "read corrupt": 1, "read missing": 1} {
		if got[result] != want {
			t.Errorf("%d requests with %q, want %d: %v", got[result], result, want, got)
		}
	}
}

// counts returns the counted requests, by operation and result.
func counts(t *testing.T, reader sdk.Reader) map[string]int64 {
	t.Helper()
	var collected metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &collected); err != nil {
		t.Fatal(err)
	}
	got := make(map[string]int64)
	for _, m := range collected.ScopeMetrics[0].Metrics {
		sum, ok := m.Data.(metricdata.Sum[int64])
		if !ok || m.Name != "laneway.test.store.requests" {
			continue
		}
		for _, point := range sum.DataPoints {
			operation, _ := point.Attributes.Value("operation")
			result, _ := point.Attributes.Value("result")
			got[operation.AsString()+" "+result.AsString()] = point.Value
		}
	}
	return got
}

func TestResultNamesTheCause(t *testing.T) {
	for err, want := range map[error]string{
		context.Canceled:           "canceled",
		objectstore.ErrThrottled:   "throttled",
		objectstore.ErrUnreachable: "unreachable",
		errors.New("other"):        "failed",
	} {
		if got := resultOf(fmt.Errorf("wrapped: %w", err)); got != want {
			t.Errorf("%v is %q, want %q", err, got, want)
		}
	}
}
