package e2e

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
)

// flood publishes the records "0", "1", … to a subject over a connection of its own until stop
// is called. stop returns how many there are, after each was acknowledged.
func (f *fixture) flood(ctx context.Context, t *testing.T, subject string) (stop func() int) {
	t.Helper()
	js, err := jetstream.New(f.Connect(), jetstream.WithPublishAsyncMaxPending(500))
	if err != nil {
		t.Fatal(err)
	}
	flooding, cancel := context.WithCancel(ctx)
	done := make(chan []jetstream.PubAckFuture, 1)
	go func() {
		var acks []jetstream.PubAckFuture
		for n := 0; flooding.Err() == nil; n++ {
			future, err := js.PublishAsync(subject, strconv.AppendInt(nil, int64(n), 10), jetstream.WithStallWait(time.Minute))
			if err != nil {
				t.Errorf("record %d: %v", n, err)
				break
			}
			acks = append(acks, future)
		}
		done <- acks
	}()
	return func() int {
		t.Helper()
		cancel()
		acks := <-done
		for n, future := range acks {
			select {
			case <-future.Ok():
			case err := <-future.Err():
				t.Fatalf("record %d of %d to %s: %v", n, len(acks), subject, err)
			case <-ctx.Done():
				t.Fatal(context.Cause(ctx))
			}
		}
		return len(acks)
	}
}

// consumed returns the values of all records of a topic, by the subject that they keep.
func (f *fixture) consumed(ctx context.Context, t *testing.T, topic string) map[string][]string {
	t.Helper()
	c := client.New(f.conn)
	defer c.Close()
	all := map[string][]string{}
	for r, err := range c.Consumer(client.ConsumerOptions{Topic: topic}).Records(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		subject := ""
		for _, h := range r.Headers {
			if h.Name == protocol.HeaderSubject {
				subject += h.Value
			}
		}
		all[subject] = append(all[subject], string(r.Value))
	}
	return all
}

// moveSubjects changes the subjects of a bound topic while records arrive on those that stay.
func (f *fixture) moveSubjects(ctx context.Context, t *testing.T, js jetstream.JetStream) {
	t.Helper()
	own := f.partition.ProduceSubject()
	stopBound, stopOwn := f.flood(ctx, t, "orders.new"), f.flood(ctx, t, own)
	said := f.update(ctx, "own", "--subjects", "orders.>,bills")
	if want := "updated topic own:\n  subjects: orders.> bills, before: orders.> returns.*\n"; said != want {
		t.Errorf("the first update says\n%s", said)
	}
	if ack, err := js.Publish(ctx, "bills", []byte("bill")); err != nil || ack.Stream != "LANEWAY-own-0" {
		t.Errorf("on the new subject: %+v, %v", ack, err)
	}
	if _, err := js.Publish(ctx, "returns.eu", nil, jetstream.WithRetryAttempts(0)); !errors.Is(err, jetstream.ErrNoStreamResponse) {
		t.Errorf("on the subject that the topic has left: %v, want no responders", err)
	}
	f.update(ctx, "orders", "--subjects", "returns.*") // another topic takes it
	if ack, err := js.Publish(ctx, "returns.eu", []byte("return")); err != nil || ack.Stream != "LANEWAY-orders-0" {
		t.Errorf("on the subject that has moved: %+v, %v", ack, err)
	}
	for _, subjects := range []string{"orders.new", "orders.*,bills", "orders.new,a,b,c", "orders.>,bills"} {
		f.update(ctx, "own", "--subjects", subjects)
	}
	many := map[string]int{"orders.new": stopBound(), "": stopOwn(), "bills": 1}
	got := f.consumed(ctx, t, "own")
	for subject, n := range many {
		if len(got[subject]) != n {
			t.Errorf("%d records of %q are there, %d were acknowledged", len(got[subject]), subject, n)
			continue
		}
		// A request of the moment of a change may be repeated by its client, so that later ones overtake it.
		seen := map[string]bool{}
		for _, value := range got[subject] {
			seen[value] = true
		}
		if len(seen) != n {
			t.Errorf("%d different records of %q are there, %d were acknowledged", len(seen), subject, n)
		}
	}
	t.Logf("%v records were published meanwhile", many)
}

// bindFirstSubjects binds a topic to its first subjects, and leaves them again, while records
// arrive on its produce subject.
func (f *fixture) bindFirstSubjects(ctx context.Context, t *testing.T) {
	t.Helper()
	topic := f.CreateTopic(f.conn, "unbound")
	stop := f.flood(ctx, t, topic.Partition(0).ProduceSubject())
	for range 3 {
		f.update(ctx, "unbound", "--subjects", "first.>")
		f.update(ctx, "unbound", "--subjects", "")
	}
	many := stop()
	got := f.consumed(ctx, t, "unbound")[""]
	seen := map[string]bool{}
	for _, value := range got {
		seen[value] = true
	}
	if len(got) != many || len(seen) != many {
		t.Errorf("%d records, %d different ones, are there; %d were acknowledged", len(got), len(seen), many)
	}
	if _, err := f.conn.RequestWithContext(ctx, "first.a", nil); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("on the subject that the topic has left: %v, want no responders", err)
	}
}
