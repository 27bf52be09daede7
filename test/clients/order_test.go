package clients

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/test/deployment"
)

// failures reports publishes that fail, as many as are useful.
type failures struct {
	t *testing.T
	n atomic.Int64
}

func (f *failures) add(m *nats.Msg, err error) {
	const most = 10
	if f.n.Add(1) <= most {
		f.t.Errorf("%s: %v", m.Data, err)
	}
}

// patience is how long a publish waits for a place among those in flight.
const patience = time.Minute

func testOrderOfPublishAsync(t *testing.T, f *fixture) {
	const many = 100_000
	failed := &failures{t: t}
	js := newJetStream(t, f.conn, jetstream.WithPublishAsyncErrHandler(func(_ jetstream.JetStream, m *nats.Msg, err error) {
		failed.add(m, err)
	}))
	started := time.Now()
	for n := range many {
		if _, err := js.PublishAsync(f.laneway.subject, []byte(numbered(n)), jetstream.WithStallWait(patience)); err != nil {
			t.Fatalf("%s: %v", numbered(n), err)
		}
	}
	select {
	case <-js.PublishAsyncComplete():
	case <-f.ctx.Done():
		t.Fatal(context.Cause(f.ctx))
	}
	t.Logf("%d records in %s", many, time.Since(started).Round(time.Millisecond))
	f.expectNumbered(t, many)
	if lanes := f.lanes(t, f.conn); len(lanes) != 1 {
		t.Errorf("one publisher has %d lanes", len(lanes))
	}
	f.expectOutOfOrder(t)
}

// expectOutOfOrder checks that more than a fifth of the uploads ended before an
// earlier one of their lane: else nothing was put in order.
func (f *fixture) expectOutOfOrder(t *testing.T) {
	t.Helper()
	if f.Kind == deployment.Running {
		return // its pages are not for us
	}
	early := f.MustMetric(deployment.Sequencer, "laneway_sequencer_stage_early_total")
	all := f.MustMetric(deployment.Sequencer, "laneway_sequencer_stage_completions_total")
	t.Logf("%.0f of %.0f uploads ended out of order", early, all)
	if early <= all/5 {
		t.Error("more than a fifth of the uploads should end out of order")
	}
}

func testOrderOfOlderPublishAsync(t *testing.T, f *fixture) {
	const many = 5_000
	failed := &failures{t: t}
	js, err := f.conn.JetStream(nats.PublishAsyncErrHandler(func(_ nats.JetStream, m *nats.Msg, err error) {
		failed.add(m, err)
	}))
	if err != nil {
		t.Fatal(err)
	}
	for n := range many {
		if _, err := js.PublishAsync(f.laneway.subject, []byte(numbered(n)), nats.StallWait(patience)); err != nil {
			t.Fatalf("%s: %v", numbered(n), err)
		}
	}
	select {
	case <-js.PublishAsyncComplete():
	case <-f.ctx.Done():
		t.Fatal(context.Cause(f.ctx))
	}
	f.expectNumbered(t, many)
}
