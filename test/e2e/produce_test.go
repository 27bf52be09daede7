package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/pkg/protocol"
	"laneway.dev/test/deployment"
	"laneway.dev/test/history"
)

// record returns a message with a value.
func record(value string) *nats.Msg { return &nats.Msg{Data: []byte(value)} }

func ackOf(t *testing.T, data []byte) protocol.ProduceAck {
	t.Helper()
	var ack protocol.ProduceAck
	if err := json.Unmarshal(data, &ack); err != nil {
		t.Fatalf("%v in %q", err, data)
	}
	return ack
}

// values fetches the values of a partition.
func (f *fixture) values(ctx context.Context, t *testing.T, partition protocol.Partition) []string {
	t.Helper()
	records, err := history.Records(ctx, f.conn, partition)
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	for _, r := range records {
		values = append(values, r.Value)
	}
	return values
}

func expectValues(t *testing.T, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("the partition has %q, want %q", got, want)
	}
}

func TestTheNATSCommandLineGetsAPubAck(t *testing.T) {
	t.Parallel() // it waits most of the time
	deployment.Each(t, func(t *testing.T, kind deployment.Kind) {
		ctx := within(t, time.Minute)
		f := start(t, kind, deployment.Options{})
		answer := f.Output(f.NATSCommand(ctx, "request", "--raw", "laneway.produce.orders.0", "hello"), nil)
		var ack struct {
			Stream    string  `json:"stream"`
			Sequence  uint64  `json:"seq"`
			Topic     string  `json:"topic"`
			Partition *int32  `json:"partition"`
			Offset    *int64  `json:"offset"`
			Ticket    *uint64 `json:"ticket"`
		}
		if err := json.Unmarshal([]byte(answer), &ack); err != nil {
			t.Fatalf("%v in %q", err, answer)
		}
		if ack.Stream != "LANEWAY-orders-0" || ack.Sequence != 1 || ack.Topic != "orders" ||
			ack.Partition == nil || *ack.Partition != 0 || ack.Offset == nil || *ack.Offset != 0 || ack.Ticket == nil {
			t.Errorf("the answer is %s", answer)
		}
		expectValues(t, f.values(ctx, t, f.partition), "hello")
		services := f.Output(f.NATSCommand(ctx, "micro", "ls"), nil)
		if !strings.Contains(services, "laneway") {
			t.Errorf("nats micro ls does not show laneway:\n%s", services)
		}
	})
}

func TestJetStreamClientsPublishUnchanged(t *testing.T) {
	t.Parallel() // it waits most of the time
	deployment.Each(t, func(t *testing.T, kind deployment.Kind) {
		ctx := within(t, time.Minute)
		f := start(t, kind, stager("--fault", "stage.delay=uniform(0,50ms)"))
		subject := f.partition.ProduceSubject()
		js, err := jetstream.New(f.conn)
		if err != nil {
			t.Fatal(err)
		}
		ack, err := js.Publish(ctx, subject, []byte("v0"))
		if err != nil || ack.Sequence != 1 || ack.Stream != f.partition.Stream() || ack.Duplicate {
			t.Fatalf("jetstream Publish: %+v, %v", ack, err)
		}
		const many = 100
		var futures []jetstream.PubAckFuture
		for n := 1; n <= many; n++ {
			future, err := js.PublishAsync(subject, fmt.Appendf(nil, "v%d", n))
			if err != nil {
				t.Fatal(err)
			}
			futures = append(futures, future)
		}
		for n, future := range futures {
			select {
			case ack := <-future.Ok():
				if ack.Sequence != uint64(n)+2 {
					t.Errorf("batch %d is acknowledged with sequence %d", n+1, ack.Sequence)
				}
			case err := <-future.Err():
				t.Errorf("batch %d: %v", n+1, err)
			case <-ctx.Done():
				t.Fatal(context.Cause(ctx))
			}
		}
		legacy, err := f.conn.JetStream()
		if err != nil {
			t.Fatal(err)
		}
		if ack, err := legacy.Publish(subject, []byte("last")); err != nil || ack.Sequence != many+2 {
			t.Errorf("the older API: %+v, %v", ack, err)
		}
		got := f.values(ctx, t, f.partition)
		for n := range many + 1 {
			if got[n] != fmt.Sprintf("v%d", n) {
				t.Errorf("offset %d has %q", n, got[n])
			}
		}
	})
}

func TestARecordOfTheLargestSizeIsTaken(t *testing.T) {
	t.Parallel() // it waits most of the time
	f := start(t, deployment.OneProcess, deployment.Options{})
	js, err := jetstream.New(f.conn)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(within(t, time.Minute), f.partition.ProduceSubject(), make([]byte, protocol.DefaultMaxRecordBytes)); err != nil {
		t.Error(err)
	}
}

func TestOldRequestsAndPublishesAreAccepted(t *testing.T) {
	t.Parallel() // it waits most of the time
	deployment.Each(t, func(t *testing.T, kind deployment.Kind) {
		ctx := within(t, time.Minute)
		f := start(t, kind, deployment.Options{})
		old := f.Connect(nats.UseOldRequestStyle())
		answer, err := old.RequestWithContext(ctx, f.partition.ProduceSubject(), []byte("old"))
		if err != nil {
			t.Fatal(err)
		}
		if ack := ackOf(t, answer.Data); ack.Error != nil || ack.Offset != 0 {
			t.Errorf("the answer is %s", answer.Data)
		}
		if err := f.conn.Publish(f.partition.ProduceSubject(), []byte("silent")); err != nil {
			t.Fatal(err)
		}
		// No event reports its commit: wait until it can be read.
		err = deployment.Eventually(ctx, func(ctx context.Context) error {
			if n := len(f.values(ctx, t, f.partition)); n < 2 {
				return fmt.Errorf("the partition has %d records", n)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		expectValues(t, f.values(ctx, t, f.partition), "old", "silent")
	})
}

func TestDuplicateMessageIDGetsOriginalOffset(t *testing.T) {
	t.Parallel() // it waits most of the time
	deployment.Each(t, func(t *testing.T, kind deployment.Kind) {
		ctx := within(t, time.Minute)
		f := start(t, kind, deployment.Options{})
		send := func(value, id string) protocol.ProduceAck {
			m := record(value)
			m.Header = nats.Header{protocol.HeaderMessageID: {id}}
			return f.request(ctx, t, m)
		}
		for n, want := range []struct {
			value, id string
			offset    int64
			duplicate bool
		}{{"a", "id-a", 0, false}, {"b", "id-b", 1, false}, {"a again", "id-a", 0, true}} {
			if ack := send(want.value, want.id); ack.Error != nil || ack.Offset != want.offset || ack.Duplicate != want.duplicate {
				t.Errorf("step %d: %+v, want %+v", n, ack, want)
			}
		}
		owner := f.Of(deployment.Replicator)
		f.Kill(owner)
		f.Restart(owner)
		f.AwaitReady(ctx)
		f.AwaitConnected(ctx, f.conn)
		if ack := send("b after the restart", "id-b"); ack.Error != nil || ack.Offset != 1 || !ack.Duplicate {
			t.Errorf("after the restart: %+v", ack)
		}
		if ack := send("c", "id-c"); ack.Error != nil || ack.Offset < 2 || ack.Duplicate {
			t.Errorf("a new id after the restart: %+v", ack)
		}
		expectValues(t, f.values(ctx, t, f.partition), "a", "b", "c")
	})
}

func TestTopicsAreApart(t *testing.T) {
	t.Parallel() // it waits most of the time
	deployment.Each(t, func(t *testing.T, kind deployment.Kind) {
		ctx := within(t, time.Minute)
		f := start(t, kind, deployment.Options{})
		other := f.CreateTopic(f.conn, "invoices").Partition(0)
		for n := range 10 {
			for _, p := range []protocol.Partition{f.partition, other} {
				m := record(fmt.Sprintf("%s %d", p.Topic, n))
				m.Subject = p.ProduceSubject()
				if ack := f.request(ctx, t, m); ack.Error != nil || ack.Offset != int64(n) || ack.Topic != p.Topic {
					t.Errorf("record %d of %s: %+v", n, p.Topic, ack)
				}
			}
		}
		for _, p := range []protocol.Partition{f.partition, other} {
			for n, value := range f.values(ctx, t, p) {
				if value != fmt.Sprintf("%s %d", p.Topic, n) {
					t.Errorf("offset %d of %s has %q", n, p.Topic, value)
				}
			}
		}
	})
}

func TestATopicThatIsMadeAnewStartsAtOffsetZero(t *testing.T) {
	t.Parallel() // it waits most of the time
	deployment.Each(t, func(t *testing.T, kind deployment.Kind) {
		ctx := within(t, time.Minute)
		f := start(t, kind, deployment.Options{})
		for n := range 3 {
			if ack := f.request(ctx, t, record(fmt.Sprint("first life ", n))); ack.Error != nil || ack.Offset != int64(n) {
				t.Errorf("%+v", ack)
			}
		}
		f.DeleteTopic(f.conn, "orders")
		again := f.CreateTopic(f.conn, "orders").Partition(0)
		if again.TopicID == f.partition.TopicID {
			t.Error("the topic has the same id as before")
		}
		expectValues(t, f.values(ctx, t, again))
		if ack := f.request(ctx, t, record("second life")); ack.Error != nil || ack.Offset != 0 {
			t.Errorf("%+v", ack)
		}
		expectValues(t, f.values(ctx, t, again), "second life")
	})
}
