package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"laneway.dev/pkg/client"
	"laneway.dev/test/deployment"
)

// replacements returns how often a frontend is replaced. LANEWAY_TEST_REPLACEMENTS
// asks for more than a short test has.
func replacements(t *testing.T) int {
	t.Helper()
	text := os.Getenv("LANEWAY_TEST_REPLACEMENTS")
	if text == "" {
		return 4
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// follower follows a partition and notes how far it came.
type follower struct {
	next atomic.Int64
	err  error // of its end, or of the first record that was missed or came twice
}

func (f *follower) run(ctx context.Context, c *client.Client, partition int32) {
	for r, err := range c.Consumer(client.ConsumerOptions{Topic: "wide", Partition: &partition, Follow: true}).Records(ctx) {
		switch want := f.next.Load(); {
		case err != nil:
			f.err = err
			return
		case r.Offset != want:
			f.err = fmt.Errorf("offset %d came, %d was expected", r.Offset, want)
			return
		}
		f.next.Add(1)
	}
	f.err = errors.New("it ended")
}

// Plain and frozen frontends are replaced in turns, while records are published and
// every partition is followed.
func TestFollowersSurviveFrontendReplacement(t *testing.T) {
	t.Parallel() // it measures no time and no memory
	const partitions = 16
	rounds := replacements(t)
	ctx := within(t, time.Duration(rounds+4)*15*time.Second)
	f := start(t, deployment.RoleProcesses, deployment.Options{})
	f.Output(f.Laneway(ctx, "topic", "create", "wide", "--partitions", strconv.Itoa(partitions)), nil)
	c, err := client.Connect(f.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()

	following, stopFollowing := context.WithCancel(ctx)
	var followers [partitions]follower
	var ended sync.WaitGroup
	for n := range followers {
		ended.Go(func() { followers[n].run(following, c, int32(n)) })
	}
	defer ended.Wait()
	defer stopFollowing()

	producer, err := c.Producer(ctx, "wide", client.ProducerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	publishing, stopPublishing := context.WithCancel(ctx)
	published := make(chan error, 1)
	go func() {
		for n := 0; ; n++ {
			if _, err := producer.Publish(publishing, client.ProducerRecord{Key: strconv.Itoa(n), Value: []byte(strconv.Itoa(n))}); err != nil {
				published <- err
				return
			}
			if n%64 == 0 {
				elapse(publishing, time.Millisecond) // the machine has other things to do as well
			}
		}
	}()
	for round := range rounds {
		frozen := round%2 == 1
		if frozen {
			f.Pause(deployment.Frontend)
		}
		older := f.Succeed(deployment.Frontend)
		f.AwaitReady(ctx)
		if frozen {
			older.Resume()
		}
		if code := older.Wait(ctx); code != replaced {
			t.Errorf("round %d: the older frontend ended with code %d, want %d", round, code, replaced)
		}
	}
	stopPublishing()
	if err := <-published; !errors.Is(err, context.Canceled) {
		t.Errorf("publish: %v", err)
	}
	if err := producer.Close(ctx); err != nil {
		t.Errorf("not everything is in the log: %v", err)
	}
	_, ends, err := c.Admin().TopicInfo(ctx, "wide")
	if err != nil {
		t.Fatal(err)
	}
	total := int64(0)
	err = deployment.Eventually(ctx, func(context.Context) error {
		total = 0
		for n := range followers {
			if got := followers[n].next.Load(); got < ends[n].EndOffset {
				return fmt.Errorf("the follower of partition %d has %d of %d records", n, got, ends[n].EndOffset)
			}
			total += ends[n].EndOffset
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	stopFollowing()
	ended.Wait()
	for n := range followers {
		if err := followers[n].err; !errors.Is(err, context.Canceled) {
			t.Errorf("the follower of partition %d, at offset %d: %v", n, followers[n].next.Load(), err)
		}
	}
	t.Logf("%d replacements, %d records", rounds, total)
}
