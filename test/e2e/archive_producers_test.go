package e2e

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/internal/partitionlog"
	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
	"laneway.dev/test/deployment"
	"laneway.dev/test/load"
)

// TestProducersOutlastTheirRecords has the entries of some batches purged from the log. What the
// partition knows about their producers and message ids must not go with them.
func TestProducersOutlastTheirRecords(t *testing.T) {
	t.Parallel()
	deployment.Each(t, func(t *testing.T, kind deployment.Kind) {
		ctx := within(t, time.Minute)
		f := start(t, kind, deployment.Options{Replicator: []string{"--archive-bytes", "1KiB"}})
		idle := producer(ctx, t, f.client(t, f.URL()), client.ProducerOptions{AttemptTimeout: 2 * time.Second})
		publishes := func(n int) {
			t.Helper()
			future, err := publish(ctx, idle, "idle", n)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := future.Wait(ctx); err != nil {
				t.Errorf("the idle producer sees an error: %v", err)
			}
		}
		identified := func() *nats.Msg {
			return &nats.Msg{Data: []byte("once"), Header: nats.Header{protocol.HeaderMessageID: {"once"}}}
		}
		publishes(0)
		sequences := f.request(ctx, t, sequenced(4711, 0, 0, 0))
		once := f.request(ctx, t, identified())
		if sequences.Error != nil || once.Error != nil {
			t.Fatalf("answers %+v, %+v", sequences, once)
		}
		before, err := f.logState(ctx, f.partition)
		if err != nil {
			t.Fatal(err)
		}
		others, err := load.NewProducer(f.conn, f.partition, "other", 1, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		sendUntil(ctx, t, others, func(acked int, _ *protocol.Error) bool { return acked >= keptEntries+100 })
		f.awaitLog(ctx, t, f.partition, "its beginning purged", func(s partitionlog.State) bool { return s.FirstSequence > before.LastSequence })

		recognised := func() {
			t.Helper()
			if ack := f.request(ctx, t, sequenced(4711, 0, 0, 0)); !ack.Duplicate || ack.Offset != sequences.Offset {
				t.Errorf("the retry of a purged batch: %+v, its offset was %d", ack, sequences.Offset)
			}
			if ack := f.request(ctx, t, identified()); !ack.Duplicate || ack.Offset != once.Offset {
				t.Errorf("the message id of a purged batch: %+v, its offset was %d", ack, once.Offset)
			}
			wantCode(t, f.request(ctx, t, sequenced(4711, 0, 2, 1)), protocol.CodeOutOfOrderSequence)
		}
		recognised()
		f.Kill(f.Of(deployment.Replicator))
		f.Restart(f.Of(deployment.Replicator))
		f.AwaitReady(ctx)
		f.AwaitConnected(ctx, f.conn)
		recognised()
		publishes(1)
		if ack := f.request(ctx, t, sequenced(4711, 0, 1, 1)); ack.Error != nil || ack.Duplicate {
			t.Errorf("the next batch: %+v", ack)
		}
	})
}
