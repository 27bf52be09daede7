package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/partitionlog"
	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
	"laneway.dev/test/deployment"
)

const (
	// longLog is the variable that selects the long form of the test below.
	longLog = "LANEWAY_TEST_LONG_LOG"
	// mostLog is how many bytes of a log there may be: what may wait to be archived, and a quarter of it.
	mostLog = 80 << 20
	// servesAgain is how long after NATS everything may take to serve again, if the machine has
	// nothing else to do.
	servesAgain = 3 * time.Second
)

// fill publishes so many bytes to a topic over several producers, in batches of four records. One of
// them sends records of a KiB, so that its batches are inline.
func (f *fixture) fill(ctx context.Context, t *testing.T, total, record int) {
	t.Helper()
	const producers = 8
	var running sync.WaitGroup
	for n := range producers {
		p := producer(ctx, t, f.client(t, f.URL()), client.ProducerOptions{BatchRecords: 4})
		share, size := total/producers, record
		if n == 0 {
			share, size = total/64, 1<<10
		}
		value := bytes.Repeat([]byte("0123456789abcdef"), size/16)
		running.Go(func() {
			for range share / size {
				if _, err := p.Publish(ctx, client.ProducerRecord{Value: value}); err != nil {
					t.Error(err)
					return
				}
			}
			if err := p.Flush(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	running.Wait()
}

// watchLog looks again and again how many bytes a log has until ctx ends, and returns the most. While
// NATS is away it sees nothing.
func (f *fixture) watchLog(ctx context.Context, p protocol.Partition) (most uint64, err error) {
	js, err := jetstream.New(f.conn, jetstream.WithDefaultTimeout(time.Second))
	if err != nil {
		return 0, err
	}
	for err = errors.New("the log was never looked at"); ctx.Err() == nil; elapse(ctx, 100*time.Millisecond) {
		bounded, cancel := context.WithTimeout(ctx, time.Second)
		if state, failed := partitionlog.New(f.conn, js, p).State(bounded); failed == nil {
			most, err = max(most, state.Bytes), nil
		}
		cancel()
	}
	return most, err
}

// awaitShort returns when a log has few bytes. Small batches are in the log, so its entries may be large.
func (f *fixture) awaitShort(ctx context.Context, t *testing.T, p protocol.Partition) {
	t.Helper()
	const most = 3 << 19
	err := deployment.Eventually(ctx, func(ctx context.Context) error {
		state, err := f.logState(ctx, p)
		if err == nil && state.Bytes > most {
			err = fmt.Errorf("the log of %s has %d bytes, want %d at most", p, state.Bytes, most)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// restartAll kills everything, starts it again, and returns when NATS is up.
func (f *fixture) restartAll(ctx context.Context, t *testing.T) (up time.Time) {
	t.Helper()
	for _, role := range f.Roles() {
		f.Kill(role)
	}
	for _, role := range f.Roles() {
		f.Restart(role)
	}
	if err := deployment.Eventually(ctx, func(ctx context.Context) error { return f.Ready(ctx, deployment.NATS) }); err != nil {
		t.Fatal(err)
	}
	return time.Now()
}

// TestLongHistoryLeavesAShortLog produces a GiB, ten in the long form, and then kills everything.
// The log stays short all the time, so everything serves again at once.
func TestLongHistoryLeavesAShortLog(t *testing.T) {
	t.Parallel()
	total, record, bound := 1<<30, 16<<10, 10*servesAgain
	if os.Getenv(longLog) == "long" {
		total, record, bound = 10<<30, 1<<10, servesAgain
	}
	ctx := within(t, 3*time.Minute*time.Duration(total>>30))
	f := start(t, deployment.RoleProcesses, deployment.Options{})
	began, filling := time.Now(), make(chan struct{})
	watching, stop := context.WithCancel(ctx)
	most, watched := uint64(0), make(chan error, 1)
	go func() {
		var err error
		most, err = f.watchLog(watching, f.partition)
		watched <- err
	}()
	go func() { defer close(filling); f.fill(ctx, t, total, record) }()
	<-filling
	stop()
	if err := <-watched; err != nil {
		t.Error(err)
	}
	took(t, began, "producing %d MiB", total>>20)
	if n, all := f.MustMetric(deployment.Stager, "laneway_stager_inline_total"), f.MustMetric(deployment.Stager, "laneway_stager_batches_total"); n == 0 || n == all {
		t.Errorf("%v of %v batches are inline: the test has not tested what it is for", n, all)
	}
	state, err := f.logState(ctx, f.partition)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the log had up to %.1f MiB: %+v", float64(most)/(1<<20), state)
	if most > mostLog {
		t.Errorf("the log had %d bytes, at most %d are allowed", most, mostLog)
	}
	if state.FirstSequence < 2 {
		t.Error("nothing was purged: the test has not tested what it is for")
	}

	up := f.restartAll(ctx, t)
	if _, err := untilAcknowledged(ctx, f, "probe"); err != nil {
		t.Fatal(err)
	}
	published := time.Since(up)
	if err := f.readsAt(ctx, t, 0, state.NextOffset-1); err != nil {
		t.Error(err)
	}
	served := time.Since(up)
	t.Logf("after NATS was up, publishing worked again after %s and consuming after %s", published.Round(time.Millisecond), served.Round(time.Millisecond))
	if served > bound {
		t.Errorf("it took longer than %s", bound)
	}
}

// readsAt reads the records at some offsets.
func (f *fixture) readsAt(ctx context.Context, t *testing.T, offsets ...int64) error {
	t.Helper()
	c := f.client(t, f.URL())
	for _, offset := range offsets {
		for r, err := range c.Consumer(client.ConsumerOptions{Topic: f.partition.Topic, Offset: &offset, MaxRecords: 1}).Records(ctx) {
			if err != nil || r.Offset != offset {
				return fmt.Errorf("offset %d was expected, got %d, %w", offset, r.Offset, err)
			}
		}
	}
	return nil
}
