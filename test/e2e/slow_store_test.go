package e2e

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/protocol"
	"laneway.dev/test/deployment"
)

// publisher sends batches of one record each on one lane, without waiting for the answers.
type publisher struct {
	*fixture
	answers *nats.Subscription
	sent    []string
}

func (f *fixture) publisher(t *testing.T) *publisher {
	t.Helper()
	answers, err := f.conn.SubscribeSync(f.conn.NewInbox())
	if err != nil {
		t.Fatal(err)
	}
	return &publisher{fixture: f, answers: answers}
}

func (p *publisher) send(t *testing.T, batches int) {
	t.Helper()
	for range batches {
		value := fmt.Sprint(len(p.sent))
		m := nats.NewMsg(p.partition.ProduceSubject())
		m.Reply, m.Data = p.answers.Subject, []byte(value)
		m.Header.Set(protocol.HeaderProducer, "publisher")
		if err := p.conn.PublishMsg(m); err != nil {
			t.Fatal(err)
		}
		p.sent = append(p.sent, value)
	}
}

// complete waits until all batches are acknowledged, and checks that the log has each of them
// once, in the order of sending.
func (p *publisher) complete(ctx context.Context, t *testing.T) {
	t.Helper()
	for range p.sent {
		answer, err := p.answers.NextMsgWithContext(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if ack := ackOf(t, answer.Data); ack.Error != nil {
			t.Fatalf("a batch is refused: %v", ack.Error)
		}
	}
	if got := p.values(ctx, t, p.partition); !slices.Equal(got, p.sent) {
		t.Errorf("the log has %q, want %q", got, p.sent)
	}
}

// TestBatchOnASlowStoreIsStagedOnce lets each upload take three times the stage timeout. Only a
// stager that could not report for the whole stage timeout would let it fail.
func TestBatchOnASlowStoreIsStagedOnce(t *testing.T) {
	t.Parallel() // it waits most of the time
	deployment.Each(t, func(t *testing.T, kind deployment.Kind) {
		t.Parallel()
		ctx := within(t, time.Minute)
		f := start(t, kind, deployment.Options{
			Stager:   []string{"--object-batches", "1", "--uploads", "64", "--fault", "stage.delay=12s"},
			Frontend: append([]string{"--stage-timeout", "4s", "--deadline", "1m"}, uploadsAll...),
		})
		p := f.publisher(t)
		p.send(t, 20)
		p.complete(ctx, t)
		if n := f.MustMetric(deployment.Frontend, "laneway_frontend_restaged_total"); n != 0 {
			t.Errorf("%v batches were staged again, want 0", n)
		}
		if n := f.MustMetric(deployment.Stager, "laneway_stager_batches_total"); n != 20 {
			t.Errorf("%v batches were staged, want 20", n)
		}
	})
}

// TestBatchesOfAFrozenStagerAreStagedByTheOther freezes one of two stagers, whose uploads would
// take an hour. NATS does not notice that, and still gives it new batches.
func TestBatchesOfAFrozenStagerAreStagedByTheOther(t *testing.T) {
	t.Parallel() // it waits most of the time
	ctx := within(t, 2*time.Minute)
	f := start(t, deployment.RoleProcesses, deployment.Options{Frontend: append([]string{"--deadline", "1m"}, uploadsAll...)})
	f.Succeed(deployment.Stager, "--uploads", "64", "--fault", "stage.delay=1h")
	f.AwaitReady(ctx)
	f.AwaitMetric(ctx, deployment.Frontend, "laneway_frontend_stagers", func(v float64) bool { return v == 2 })
	t.Cleanup(func() { f.Kill(deployment.Stager) }) // it cannot stop

	p := f.publisher(t)
	for f.MustMetric(deployment.Stager, "laneway_stager_uploads") == 0 && ctx.Err() == nil { // which stager gets a batch is random
		p.send(t, 1)
		elapse(ctx, 10*time.Millisecond)
	}
	f.Pause(deployment.Stager)
	p.send(t, 20)
	p.complete(ctx, t)
	if n := f.MustMetric(deployment.Frontend, "laneway_frontend_restaged_total"); n == 0 {
		t.Error("no batch was staged again")
	}
}
