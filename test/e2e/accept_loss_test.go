package e2e

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/partitionlog"
	"laneway.dev/pkg/client"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/test/deployment"
)

// unmarkedStore returns a store with an object and without a marker, so that it is not certain
// whose it is.
func unmarkedStore(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	store, err := objectstore.Open(folder, 0)
	if err != nil {
		t.Fatal(err)
	}
	key, err := objectstore.NewKey(time.Now(), nil)
	if err == nil {
		err = store.Put(t.Context(), key, [][]byte{[]byte("an object")})
	}
	if err != nil {
		t.Fatal(err)
	}
	return folder
}

func TestAcceptedLossContinuesAboveAcknowledged(t *testing.T) {
	t.Parallel() // it waits most of the time
	deployment.Each(t, func(t *testing.T, kind deployment.Kind) {
		ctx := within(t, 2*time.Minute)
		f := start(t, kind, deployment.Options{Replicator: []string{"--snapshot-entries", "5"}})
		other := f.createApart(t, "other")
		sent := f.sendVariety(ctx, t, f.partition)
		f.sendVariety(ctx, t, other)
		last := f.feedUpTo(ctx, t, 0, 20)
		end := f.awaitLog(ctx, t, f.partition, "it", func(partitionlog.State) bool { return true }).LastSequence
		f.loseLog(ctx, t, f.partition)

		if report := f.repair(ctx, t, "orders"); !strings.Contains(report, "partition 0: DAMAGED") {
			t.Fatalf("the report:\n%s", report)
		}
		f.expectDamaged(ctx, t)
		if ack := f.request(ctx, t, &nats.Msg{Subject: other.ProduceSubject(), Data: []byte("undisturbed")}); ack.Error != nil {
			t.Errorf("another partition: %v", ack.Error)
		}
		for _, c := range []struct {
			store, says string
			code        int
		}{
			{t.TempDir(), "is not that of this Laneway", exitStore},
			{unmarkedStore(t), "the loss is not accepted", 1},
		} {
			code, output, err := deployment.ExitCode(f.Laneway(ctx, "topic", "repair", "orders", "--store", c.store, "--accept-loss"))
			if err != nil || code != c.code || !strings.Contains(output, c.says) {
				t.Errorf("with another store: code %d, %v, want %d and %q\n%s", code, err, c.code, c.says, output)
			}
		}
		report := f.repair(ctx, t, "orders", "--store", f.Store, "--export", filepath.Join(t.TempDir(), "lost.jsonl"), "--accept-loss")
		next := f.partition
		next.Incarnation++
		if want := "as log " + messages.LogName(next); !strings.Contains(report, want) {
			t.Fatalf("the report lacks %q:\n%s", want, report)
		}

		ack := f.takesRecords(ctx, t)
		if ack.Offset <= last {
			t.Errorf("offset %d is given out, %d was acknowledged", ack.Offset, last)
		}
		if first := f.awaitLog(ctx, t, next, "it", func(partitionlog.State) bool { return true }).FirstSequence; first <= end {
			t.Errorf("the new log begins at sequence %d, the old one ended at %d", first, end)
		}
		f.AwaitReady(ctx)
		for _, from := range []int64{0, last / 2, last, last + 1} {
			f.expectGap(ctx, t, from, ack.Offset)
		}
		f.sequencedAreJudgedByTheSnapshot(ctx, t, sent, ack.Offset)
		f.feedUpTo(ctx, t, 20, 25)
		f.expectNothingTwice(ctx, t)
	})
}

// createApart makes a topic whose log shares nothing with that of the fixture's partition.
func (f *fixture) createApart(t *testing.T, name string) protocol.Partition {
	t.Helper()
	for range 100 {
		if p := f.CreateTopic(f.conn, name).Partition(0); p.Log != f.partition.Log {
			return p
		}
		f.DeleteTopic(f.conn, name)
	}
	t.Fatal("all topics have the same log")
	return protocol.Partition{}
}

// feedUpTo runs an instance of a named producer, of which at most so many records were
// acknowledged. It continues where the partition knows of, and returns the last offset.
func (f *fixture) feedUpTo(ctx context.Context, t *testing.T, acknowledged, end int) int64 {
	t.Helper()
	p := producer(ctx, t, f.client(t, f.URL()), client.ProducerOptions{Name: "feed", Partition: new(int32(0))})
	next := int(p.NextSequence(0))
	// A snapshot is made every 5 entries, so that the log alone knew of the last few.
	if next > acknowledged || next < acknowledged-10 {
		t.Errorf("the named producer continues at %d, acknowledged were %d", next, acknowledged)
	}
	var last int64
	for n := next; n < end; n++ {
		future, err := p.Publish(ctx, client.ProducerRecord{Value: fmt.Appendf(nil, "feed %d", n)})
		if err != nil {
			t.Fatal(err)
		}
		ack, err := future.Wait(ctx)
		if err != nil {
			t.Fatal(err)
		}
		last = ack.Offset
	}
	if err := p.Close(ctx); err != nil {
		t.Fatal(err)
	}
	return last
}

// expectDamaged checks what producers and consumers of a read-only partition hear.
func (f *fixture) expectDamaged(ctx context.Context, t *testing.T) {
	t.Helper()
	damaged := protocol.NewError(protocol.CodePartitionDamaged, "")
	err := deployment.Eventually(ctx, func(ctx context.Context) error {
		answer, err := f.conn.RequestWithContext(ctx, f.partition.ProduceSubject(), []byte("lost"))
		if err != nil {
			return err
		}
		if ack := ackOf(t, answer.Data); ack.Error == nil || ack.Error.Code != damaged.Code {
			return fmt.Errorf("produce: %+v", ack)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.client(t, f.URL()).Producer(ctx, "orders", client.ProducerOptions{Name: "feed"}); !errors.Is(err, damaged) {
		t.Errorf("a named producer: %v", err)
	}
	for _, err := range f.client(t, f.URL()).Consumer(client.ConsumerOptions{Topic: "orders"}).Records(ctx) {
		if !errors.Is(err, damaged) {
			t.Errorf("consume: %v", err)
		}
	}
}

// takesRecords returns the answer to the first record that the partition takes.
func (f *fixture) takesRecords(ctx context.Context, t *testing.T) (ack protocol.ProduceAck) {
	t.Helper()
	err := deployment.Eventually(ctx, func(ctx context.Context) error {
		answer, err := f.conn.RequestWithContext(ctx, f.partition.ProduceSubject(), []byte("after the loss"))
		if err != nil {
			return err
		}
		if ack = ackOf(t, answer.Data); ack.Error != nil {
			return ack.Error
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return ack
}

// expectGap checks that a consumer that stood at an offset receives a gap up to another
// one, and continues there.
func (f *fixture) expectGap(ctx context.Context, t *testing.T, from, to int64) {
	t.Helper()
	var gaps []client.Gap
	options := client.ConsumerOptions{
		Topic: "orders", Partition: new(int32(0)), Offset: &from, MaxRecords: 1,
		OnGap: func(g client.Gap) { gaps = append(gaps, g) },
	}
	var got []int64
	for record, err := range f.client(t, f.URL()).Consumer(options).Records(ctx) {
		if err != nil {
			t.Errorf("from %d: %v", from, err)
			return
		}
		got = append(got, record.Offset)
	}
	if len(got) != 1 || got[0] != to || len(gaps) != 1 || gaps[0].First > from || gaps[0].Last != to-1 || gaps[0].Err != nil {
		t.Errorf("from %d: records at %v, gaps %v, want one at %d", from, got, gaps, to)
	}
}

// sequencedAreJudgedByTheSnapshot sends the batches of an idempotent producer again, all of
// which snapshots know, and then the next one.
func (f *fixture) sequencedAreJudgedByTheSnapshot(ctx context.Context, t *testing.T, sent []sentBatch, above int64) {
	t.Helper()
	var duplicates, count int32
	for _, s := range sent {
		if s.message.Header.Get(protocol.HeaderSequence) == "" {
			continue
		}
		count++
		switch ack := f.request(ctx, t, s.message); {
		case ack.Error == nil && ack.Duplicate && ack.Offset == s.ack.Offset:
			duplicates++
		case ack.Error == nil:
			t.Errorf("a batch that was at offset %d is answered with %+v", s.ack.Offset, ack)
		}
	}
	if duplicates == 0 {
		t.Error("no batch of the idempotent producer is known")
	}
	m := sequenced(4711, 0, 2*count, 2*count)
	if ack := f.request(ctx, t, m); ack.Error != nil || ack.Offset <= above {
		t.Errorf("the next batch of the idempotent producer: %+v", ack)
	}
}

// expectNothingTwice reads the partition to its end.
func (f *fixture) expectNothingTwice(ctx context.Context, t *testing.T) {
	t.Helper()
	seen := make(map[string]int64)
	feed := 0
	for record, err := range f.client(t, f.URL()).Consumer(client.ConsumerOptions{Topic: "orders", Partition: new(int32(0))}).Records(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if before, twice := seen[string(record.Value)]; twice {
			t.Errorf("%q is at the offsets %d and %d", record.Value, before, record.Offset)
		}
		seen[string(record.Value)] = record.Offset
		if strings.HasPrefix(string(record.Value), "feed ") {
			feed++
		}
	}
	if _, there := seen["feed 24"]; !there || feed < 5 {
		t.Errorf("the log has %d records of the named producer, and not its last", feed)
	}
}
