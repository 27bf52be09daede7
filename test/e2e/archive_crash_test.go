package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
	"laneway.dev/test/deployment"
	"laneway.dev/test/history"
	"laneway.dev/test/load"
	"laneway.dev/test/s3server"
	"laneway.dev/test/storeproxy"
)

// progressOf is how far a reader of the topic came: offsets rise, and the records of each producer
// come in order and without a gap, because none of them is ever given up.
type progressOf struct {
	offset int64
	next   map[string]int
}

func newProgress() *progressOf { return &progressOf{offset: -1, next: make(map[string]int)} }

func (p *progressOf) add(r *client.Record) error {
	producer, n, err := load.ParseValue(string(r.Value))
	switch {
	case err != nil:
		return err
	case r.Offset <= p.offset:
		return fmt.Errorf("offset %d comes after %d", r.Offset, p.offset)
	case n != p.next[producer]:
		return fmt.Errorf("record %d of %s comes at offset %d, %d was expected", n, producer, r.Offset, p.next[producer])
	}
	p.offset = r.Offset
	p.next[producer]++
	return nil
}

// followOrdered follows the topic until ctx ends.
func followOrdered(ctx context.Context, c *client.Client, consumed *atomic.Int64) error {
	p := newProgress()
	for r, err := range c.Consumer(client.ConsumerOptions{Topic: "orders", Follow: true}).Records(ctx) {
		if err == nil {
			err = p.add(&r)
		}
		if err != nil {
			return err
		}
		consumed.Add(1)
	}
	return ctx.Err()
}

// readOrdered reads the topic from its beginning to its end, over and over until ctx ends.
func readOrdered(ctx context.Context, c *client.Client, read *atomic.Int64) error {
	for ctx.Err() == nil {
		p := newProgress()
		for r, err := range c.Consumer(client.ConsumerOptions{Topic: "orders", Retries: 100}).Records(ctx) {
			if err == nil {
				err = p.add(&r)
			}
			if err != nil {
				return err
			}
			read.Add(1)
		}
	}
	return ctx.Err()
}

// archivingLoad is what happens while processes are killed: idempotent producers and two readers
// of one topic, and plain producers of another one.
type archivingLoad struct {
	*fixture
	t                       *testing.T
	plain                   *load.Fleet
	plainPartition          protocol.Partition
	stop                    chan struct{} // closed when producers stop
	leave                   context.CancelFunc
	sent                    []int // records of each idempotent producer
	acked, consumed, reread atomic.Int64
	publishing, reading     sync.WaitGroup
}

func (f *fixture) underArchivingLoad(ctx context.Context, t *testing.T, fail context.CancelCauseFunc) *archivingLoad {
	t.Helper()
	l := &archivingLoad{fixture: f, t: t, stop: make(chan struct{}), sent: make([]int, 4), plainPartition: f.CreateTopic(f.conn, "plain").Partition(0)}
	var err error
	l.plain, err = load.NewFleet(f.conn, load.Config{Partition: l.plainPartition, Name: "plain", Producers: 2, InFlight: 5, Patience: patience})
	if err != nil {
		t.Fatal(err)
	}
	l.publishing.Go(func() {
		if err := l.plain.SendUntil(ctx, l.stop); err != nil {
			t.Error(err)
		}
	})
	for i := range l.sent {
		p := producer(ctx, t, f.client(t, f.URL()), client.ProducerOptions{BatchRecords: 3, AttemptTimeout: 2 * time.Second})
		l.publishing.Go(func() {
			var err error
			if l.sent[i], err = publishUntil(ctx, p, fmt.Sprint("producer", i), l.stop, &l.acked); err != nil {
				t.Errorf("producer %d sees an error after %d records: %v", i, l.sent[i], err)
				fail(err)
			}
		})
	}
	var following context.Context
	following, l.leave = context.WithCancel(ctx)
	t.Cleanup(l.leave)
	for name, read := range map[string]func(context.Context, *client.Client) error{
		"that follows":     func(ctx context.Context, c *client.Client) error { return followOrdered(ctx, c, &l.consumed) },
		"that reads again": func(ctx context.Context, c *client.Client) error { return readOrdered(ctx, c, &l.reread) },
	} {
		c := f.client(t, f.URL())
		l.reading.Go(func() {
			if err := read(following, c); !errors.Is(err, context.Canceled) {
				t.Errorf("the consumer %s ended with %v", name, err)
				fail(err)
			}
		})
	}
	return l
}

// end ends the load, once everything that was sent is consumed, and checks what the partitions have.
func (l *archivingLoad) end(ctx context.Context) {
	l.t.Helper()
	close(l.stop)
	l.publishing.Wait()
	l.AwaitReady(ctx)
	l.AwaitMetric(ctx, deployment.Frontend, "laneway_frontend_tickets_outstanding", func(v float64) bool { return v == 0 })
	total, want := int64(0), make(map[string]int)
	for i, n := range l.sent {
		want[fmt.Sprint("producer", i)] = n
		total += int64(n)
	}
	err := deployment.Eventually(ctx, func(context.Context) error {
		if n := l.consumed.Load(); n < total {
			return fmt.Errorf("the consumer has %d of %d records", n, total)
		}
		return nil
	})
	if err != nil {
		l.t.Error(err)
	}
	l.leave()
	l.reading.Wait()
	for _, p := range []protocol.Partition{l.partition, l.plainPartition} {
		if state := l.awaitArchived(ctx, l.t, p); state.FirstSequence < 2 {
			l.t.Errorf("the log of %s was never purged: %+v", p, state)
		}
	}
	l.exactly(ctx, l.t, want)
	records, err := history.Verify(ctx, l.conn, l.plainPartition, l.plain.Batches())
	if err != nil {
		l.t.Error(err)
	}
	if err := l.plain.Faults(); err != nil {
		l.t.Error(err)
	}
	count(l.t, len(records), l.plain.Batches())
	l.t.Logf("%d records of idempotent producers, %d read again", total, l.reread.Load())
}

// TestArchivingUnderKills kills every process again and again while records are published,
// archived into a slow store, purged and read. LANEWAY_TEST_KILLS sets how often, for a longer
// search.
func TestArchivingUnderKills(t *testing.T) {
	s3 := s3server.Start(t)
	proxy := storeproxy.Start(t, s3.Address)
	f := start(t, deployment.RoleProcesses, deployment.Options{
		Store:      s3server.Location(proxy.Endpoint(), "archived"),
		Stager:     []string{"--linger", "0s", "--fault", "stage.delay=uniform(0,20ms)"},
		Frontend:   []string{"--cache-bytes", "1"}, // consumers read what is stored
		Replicator: []string{"--archive-bytes", "16KiB", "--archive-age", "500ms", "--snapshot-entries", "50"},
	})
	roles := f.Roles()
	n := max(rounds(t), 2*len(roles))
	ctx, failed := context.WithCancelCause(within(t, 2*time.Minute+time.Duration(n)*15*time.Second))
	defer failed(nil)
	proxy.Set(storeproxy.Faults{Delay: 5 * time.Millisecond, Late: 0.02, LateBy: time.Second, LoseAnswer: 0.02})
	l := f.underArchivingLoad(ctx, t, failed)
	for round := range n {
		role := roles[round%len(roles)]
		if round >= len(roles) { // each was killed once
			role = roles[rand.IntN(len(roles))]
		}
		began := time.Now()
		f.killUnderLoad(ctx, t, role, &l.acked)
		took(t, began, "%s is killed", role)
	}
	proxy.Set(storeproxy.Faults{})
	l.end(ctx)
	f.verifyStore(ctx, t, 0, []string{"nothing is damaged"}, "--nats", f.URL())
	segments, err := filepath.Glob(filepath.Join(s3.Folder, "archived", "*", "s", "*", "*"))
	if err != nil || len(segments) < 5 {
		t.Errorf("%d segments were written, %v: the test has not tested what it is for", len(segments), err)
	}
	t.Logf("%d segments were written", len(segments))
}
