package e2e

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
	"laneway.dev/test/deployment"
	"laneway.dev/test/history"
	"laneway.dev/test/load"
)

// client returns a Go client with a connection of its own.
func (f *fixture) client(t *testing.T, url string) *client.Client {
	t.Helper()
	c, err := client.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// producer returns an idempotent producer.
func producer(ctx context.Context, t *testing.T, c *client.Client, options client.ProducerOptions) *client.Producer {
	t.Helper()
	p, err := c.Producer(ctx, "orders", options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// What counts was flushed; a test that failed is not to wait.
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		_ = p.Close(ended)
	})
	return p
}

// publish publishes the n-th record of a producer.
func publish(ctx context.Context, p *client.Producer, name string, n int) (client.Future, error) {
	return p.Publish(ctx, client.ProducerRecord{Value: []byte(load.Value(name, n))})
}

// refusals returns how many batches were refused with an error so far.
func (f *fixture) refusals(ctx context.Context, t *testing.T, code protocol.Code) float64 {
	t.Helper()
	n, err := f.refused(ctx, code)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (f *fixture) refused(ctx context.Context, code protocol.Code) (float64, error) {
	return f.Sample(ctx, deployment.Frontend,
		fmt.Sprintf(`laneway_frontend_errors_total{error=%q,`, code.Kind().Name), `request="produce"`)
}

// exactly checks that a partition has the records 0 to n-1 of each producer, each
// once and in order, and nothing else, from memory and from the store.
func (f *fixture) exactly(ctx context.Context, t *testing.T, want map[string]int) {
	t.Helper()
	for _, place := range []string{"as served", "as stored"} {
		records, err := history.Records(ctx, f.conn, f.partition)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(history.Dense(records), history.Complete(records, want)); err != nil {
			t.Errorf("%s: %v", place, err)
		}
		f.forget(ctx)
	}
	entries, err := history.Entries(ctx, f.conn, f.partition)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(history.Log(entries), history.Sequences(entries)); err != nil {
		t.Error(err)
	}
}
