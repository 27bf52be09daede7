package e2e

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
	"laneway.dev/test/deployment"
)

// ownedByOne are the roles of which one instance owns everything.
var ownedByOne = []string{deployment.Frontend}

// An idle instance hears nothing of its successor: it has to look.
func TestAnIdleInstanceThatWasReplacedEnds(t *testing.T) {
	t.Parallel()
	for _, frozen := range []bool{false, true} {
		for _, role := range ownedByOne {
			t.Run(role+map[bool]string{true: ", frozen"}[frozen], func(t *testing.T) {
				ctx := within(t, time.Minute)
				f := start(t, deployment.RoleProcesses, deployment.Options{})
				if frozen {
					f.Pause(role)
				}
				older := f.Succeed(role)
				f.AwaitReady(ctx)
				if frozen {
					older.Resume()
				}
				if code := older.Wait(ctx); code != replaced {
					t.Errorf("the older %s ended with code %d, want %d", role, code, replaced)
				}
				f.probe(ctx, t, "after")
			})
		}
	}
}

// The log of a topic that was made again has no term of the present replicator for
// the one that was frozen to find, when that one is as fast to take it.
func TestAReplicatorThatWakesUpLeavesNewPartitionsToTheirOwner(t *testing.T) {
	t.Parallel() // it waits most of the time
	ctx := within(t, time.Minute)
	f := start(t, deployment.RoleProcesses, deployment.Options{})
	f.CreateTopic(f.conn, "again")
	f.Pause(deployment.Replicator)
	older := f.Succeed(deployment.Replicator)
	f.AwaitReady(ctx)
	f.AwaitConnected(ctx, f.conn)
	f.DeleteTopic(f.conn, "again")
	again := f.CreateTopic(f.conn, "again").Partition(0)
	older.Resume()
	for range 5 {
		f.request(ctx, t, &nats.Msg{Subject: again.ProduceSubject(), Data: []byte("into the new topic")})
		f.request(ctx, t, &nats.Msg{Data: []byte("into one that was there")})
	}
	f.awaitShares(ctx, t, deployment.Replicator, 2, 2)
	f.request(ctx, t, &nats.Msg{Subject: again.ProduceSubject(), Data: []byte("shared")})
	f.request(ctx, t, &nats.Msg{Data: []byte("shared")})
	if f.Ended(deployment.Replicator) || !older.Runs() {
		t.Error("a replicator has ended")
	}
}

// The named producer has acknowledgements of the old topic, so it must not continue in the
// new one as if that were the same.
func TestNamedProducerDoesNotContinueInRecreatedTopic(t *testing.T) {
	t.Parallel() // it waits most of the time
	ctx := within(t, time.Minute)
	f := start(t, deployment.OneProcess, deployment.Options{})
	c, err := client.Connect(f.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	producer, err := c.Producer(ctx, "orders", client.ProducerOptions{Name: "feed"})
	if err != nil {
		t.Fatal(err)
	}
	publish := func(value string) error {
		future, err := producer.Publish(ctx, client.ProducerRecord{Value: []byte(value)})
		if err != nil {
			return err
		}
		_, err = future.Wait(ctx)
		return err
	}
	if err := publish("old"); err != nil {
		t.Fatal(err)
	}
	f.DeleteTopic(f.conn, "orders")
	again := f.CreateTopic(f.conn, "orders").Partition(0)
	if err := publish("new"); !errors.Is(err, protocol.NewError(protocol.CodeUnknownTopic, "")) {
		t.Errorf("the producer gets %v, want UNKNOWN_TOPIC", err)
	}
	if err := producer.Close(ctx); err == nil {
		t.Error("the producer closes as if all were well")
	}
	expectValues(t, f.values(ctx, t, again))
}

// Streams of a topic that is deleted fail appends and reads; that is not an error.
func TestDeletionOfATopicThatIsWrittenToIsSilent(t *testing.T) {
	t.Parallel() // it measures no time and no memory
	ctx := within(t, time.Minute)
	f := start(t, deployment.OneProcess, deployment.Options{})
	f.Output(f.Laneway(ctx, "topic", "create", "wide", "--partitions", "16"), nil)
	c, err := client.Connect(f.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	producer, err := c.Producer(ctx, "wide", client.ProducerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var ended error
	var taken sync.WaitGroup
	written := make(chan struct{})
	taken.Go(func() {
		for n := 0; ended == nil; n++ {
			if n == 20_000 {
				close(written)
			}
			_, ended = producer.Publish(ctx, client.ProducerRecord{Key: strconv.Itoa(n), Value: []byte("x")})
		}
	})
	select {
	case <-written:
	case <-ctx.Done():
		t.Fatal(context.Cause(ctx))
	}
	f.DeleteTopic(f.conn, "wide")
	taken.Wait()
	if !errors.Is(ended, protocol.NewError(protocol.CodeUnknownTopic, "")) {
		t.Errorf("the producer ends with %v, want UNKNOWN_TOPIC", ended)
	}
	f.probe(ctx, t, "other")
	for line := range strings.Lines(f.Log(deployment.Serve)) {
		if strings.Contains(line, "wide") && (strings.Contains(line, "WARN") || strings.Contains(line, "ERROR")) {
			t.Errorf("logged: %s", line)
		}
	}
}
