package e2e

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"laneway.dev/pkg/client"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/test/deployment"
	"laneway.dev/test/history"
	"laneway.dev/test/load"
)

const (
	archivedBytes  = 4 << 10     // of a record
	idempotentName = "sequenced" // the names of producers begin with it that send until it succeeds
)

// archivedTopic is a topic whose records are archived under load. Its ledger knows what was
// acknowledged and what was read.
type archivedTopic struct {
	*fixture
	protocol.Partition
	ledger   *history.Ledger
	plain    *load.Fleet
	stop     chan struct{} // closed when producers stop
	acked    *atomic.Int64 // records of idempotent producers of all topics
	followed atomic.Int64  // offset up to which the follower has read
	readings atomic.Int64  // complete ones
	kinds    kinds         // of batches, as far as they were seen
	mostLog  uint64        // bytes of its log, as far as they were seen; valid when the readers have ended
}

// publish publishes records in order until producers stop. All that it has published is then
// acknowledged.
func (a *archivedTopic) publish(ctx context.Context, p *client.Producer, name string) error {
	type pending struct {
		client.Future
		value string
		sent  time.Time
	}
	var window []pending
	settle := func(most int) error {
		for len(window) > most {
			ack, err := window[0].Wait(ctx)
			if err == nil {
				err = a.ledger.Acknowledged(window[0].value, ack.Offset, window[0].sent)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", window[0].value, err)
			}
			window = window[1:]
			a.acked.Add(1)
		}
		return nil
	}
	for n := 0; ; n++ {
		select {
		case <-a.stop:
			return errors.Join(p.Flush(ctx), settle(0))
		default:
		}
		value := load.Value(name, n)
		sent := time.Now()
		future, err := p.Publish(ctx, client.ProducerRecord{Value: []byte(load.Pad(value, archivedBytes))})
		if err != nil {
			return fmt.Errorf("%s: %w", value, err)
		}
		window = append(window, pending{future, value, sent})
		if err := settle(199); err != nil {
			return err
		}
	}
}

// read reads the topic from its earliest record on.
func (a *archivedTopic) read(ctx context.Context, c *client.Client, follow bool, seen *atomic.Int64) error {
	reading := a.ledger.Read()
	// Retention may drop all that a follower has not read yet. Then it gets a gap, and no record behind it.
	onGap := func(g client.Gap) {
		reading.Gap(g)
		seen.Store(reading.Next())
	}
	options := client.ConsumerOptions{Topic: a.Topic, Follow: follow, OnGap: onGap, Retries: 100}
	for r, err := range c.Consumer(options).Records(ctx) {
		if err == nil {
			err = reading.Record(&r)
		}
		if err != nil {
			return fmt.Errorf("behind offset %d: %w", reading.Next()-1, err)
		}
		seen.Store(reading.Next())
	}
	return reading.End()
}

// readAgain reads the topic from its beginning to its end, over and over until ctx ends.
func (a *archivedTopic) readAgain(ctx context.Context, c *client.Client) error {
	var seen atomic.Int64
	for {
		if err := a.read(ctx, c, false, &seen); err != nil {
			return err
		}
		a.readings.Add(1)
	}
}

// archivingLoad is what happens while processes are killed: idempotent and plain producers, and
// two readers of each topic.
type archivingLoad struct {
	*fixture
	t                   *testing.T
	fail                context.CancelCauseFunc
	topics              []*archivedTopic
	leave               context.CancelFunc
	acked               atomic.Int64
	publishing, reading sync.WaitGroup
}

// add starts producers and consumers of a topic.
func (l *archivingLoad) add(ctx, reading context.Context, a *archivedTopic) {
	var err error
	a.plain, err = load.NewFleet(l.conn, load.Config{
		Partition: a.Partition, Name: "plain", Producers: 2, InFlight: 8, Patience: 3 * time.Second, Bytes: bothKinds,
	})
	if err != nil {
		l.t.Fatal(err)
	}
	l.topics = append(l.topics, a)
	run := func(group *sync.WaitGroup, what string, do func() error) {
		group.Go(func() {
			if err := do(); err != nil && !errors.Is(err, context.Canceled) {
				err = fmt.Errorf("%s: %s: %w", a.Partition, what, err)
				l.t.Error(err)
				l.fail(err)
			}
		})
	}
	run(&l.publishing, "plain producers", func() error { return a.plain.SendUntil(ctx, a.stop) })
	for n, records := range []int{1, 16} { // inline, and uploaded
		p, err := l.client(l.t, l.URL()).Producer(ctx, a.Topic, client.ProducerOptions{BatchRecords: records, AttemptTimeout: 2 * time.Second})
		if err != nil {
			l.t.Fatal(err)
		}
		name := fmt.Sprint(idempotentName, n)
		run(&l.publishing, name, func() error { return a.publish(ctx, p, name) })
	}
	follower, reader := l.client(l.t, l.URL()), l.client(l.t, l.URL())
	run(&l.reading, "the follower", func() error { return a.read(reading, follower, true, &a.followed) })
	run(&l.reading, "the consumer that reads again", func() error { return a.readAgain(reading, reader) })
	run(&l.reading, "the watcher of the log", func() (err error) {
		a.mostLog, err = l.watchLog(reading, a.Partition)
		return err
	})
}

// look checks what is in a log at present. NATS may have been killed just now.
func (a *archivedTopic) look(ctx context.Context) error {
	var entries []messages.LoggedEntry
	err := deployment.Eventually(ctx, func(ctx context.Context) (err error) {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		entries, err = history.Entries(ctx, a.conn, a.Partition)
		return err
	})
	if err != nil {
		return err
	}
	a.kinds.add(entries)
	return errors.Join(history.Log(entries), history.Sequences(entries))
}

// underArchivingLoad starts the load on topics.
func (f *fixture) underArchivingLoad(ctx context.Context, t *testing.T, fail context.CancelCauseFunc, topics ...*archivedTopic) *archivingLoad {
	t.Helper()
	l := &archivingLoad{fixture: f, t: t, fail: fail}
	var reading context.Context
	reading, l.leave = context.WithCancel(ctx)
	t.Cleanup(l.leave)
	stop := make(chan struct{})
	for _, a := range topics {
		a.fixture, a.stop, a.acked = f, stop, &l.acked
		l.add(ctx, reading, a)
	}
	return l
}

// look checks the logs while the load continues.
func (l *archivingLoad) look(ctx context.Context) {
	l.t.Helper()
	for _, a := range l.topics {
		if err := a.look(ctx); err != nil {
			l.t.Errorf("%s: %v", a.Partition, err)
		}
	}
}

// end ends the load, once everything that was sent is consumed, and checks what the partitions have.
func (l *archivingLoad) end(ctx context.Context) {
	l.t.Helper()
	began := time.Now()
	close(l.topics[0].stop)
	l.publishing.Wait()
	took(l.t, began, "acknowledging what was sent")
	l.AwaitReady(ctx)
	l.AwaitMetric(ctx, deployment.Frontend, "laneway_frontend_tickets_outstanding", func(v float64) bool { return v == 0 })
	for _, a := range l.topics {
		state, err := l.logState(ctx, a.Partition)
		if err != nil {
			l.t.Fatal(err)
		}
		err = deployment.Eventually(ctx, func(context.Context) error {
			if n := a.followed.Load(); n < state.NextOffset {
				return fmt.Errorf("the follower of %s is at offset %d of %d", a.Partition, n, state.NextOffset)
			}
			return nil
		})
		if err != nil {
			l.t.Error(err)
		}
	}
	took(l.t, began, "following what was sent")
	l.leave()
	l.reading.Wait()
	for _, a := range l.topics {
		a.verify(ctx, l.t)
	}
}

// verify checks what a partition has when nothing is sent and everything is archived.
func (a *archivedTopic) verify(ctx context.Context, t *testing.T) {
	t.Helper()
	if err := errors.Join(a.ledger.Batches(a.plain.All()), a.plain.Faults(), history.Answers(a.plain.Batches())); err != nil {
		t.Errorf("%s: %v", a.Partition, err)
	}
	state := a.awaitArchived(ctx, t, a.Partition)
	if state.FirstSequence < 2 {
		t.Errorf("the log of %s was never purged: %+v", a.Partition, state)
	}
	if a.mostLog > mostLog {
		t.Errorf("the log of %s had %d bytes, at most %d are allowed", a.Partition, a.mostLog, mostLog)
	}
	a.awaitShort(ctx, t, a.Partition)
	var seen atomic.Int64
	if err := a.read(ctx, a.client(t, a.URL()), false, &seen); err != nil {
		t.Errorf("%s, the last reading: %v", a.Partition, err)
	}
	if err := a.look(ctx); err != nil {
		t.Error(err)
	}
	count(t, a.ledger.Records(), a.plain.Batches())
	a.kinds.check(t)
	t.Logf("%s: %d records, read %d times; the log had up to %d bytes, and ends at offset %d; its history is %+v",
		a.Partition, a.ledger.Records(), a.readings.Load(), a.mostLog, state.NextOffset, state.History)
}
