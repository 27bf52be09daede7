package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"laneway.dev/internal/marks"
	"laneway.dev/internal/partitionlog"
	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
	"laneway.dev/test/deployment"
)

// inLogs returns options of a deployment with this number of logs.
func inLogs(number int) deployment.Options {
	return deployment.Options{Frontend: []string{"--logs", fmt.Sprint(number)}}
}

func TestNumberOfLogsIsKept(t *testing.T) {
	t.Parallel() // it waits most of the time
	deployment.Each(t, func(t *testing.T, kind deployment.Kind) {
		ctx := within(t, time.Minute)
		f := start(t, kind, inLogs(3))
		expect := func(topic string) {
			t.Helper()
			info := f.Output(f.Laneway(ctx, "topic", "info", topic), nil)
			if !strings.Contains(info, "this Laneway has 3 logs") || !strings.Contains(info, "LANEWAY_JOURNAL-") {
				t.Errorf("topic info says\n%s", info)
			}
		}
		expect("orders")
		role := f.Of(deployment.Frontend)
		f.Terminate(role)
		other := []string{role, "--logs", "4", "--store", f.Store}
		if kind == deployment.OneProcess {
			other = append(other, "--data", f.Data, "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0")
		} else {
			other = append(other, "--nats", f.URL())
		}
		code, output, err := deployment.ExitCode(f.Laneway(ctx, other...))
		if err != nil || code != 1 || !strings.Contains(output, "LOGS_MISMATCH: this Laneway has another number of logs: it was made with 3, and --logs is 4") {
			t.Errorf("with another number it ends with code %d, %v\n%s", code, err, output)
		}
		f.Restart(role)
		f.AwaitReady(ctx)
		f.AwaitConnected(ctx, f.conn)
		f.CreateTopic(f.conn, "later")
		expect("later")
	})
}

// TestDamageOfTheOnlyLog removes the end of the journal that all partitions are in. What was purged can be read
// nevertheless.
func TestDamageOfTheOnlyLog(t *testing.T) {
	t.Parallel() // it waits most of the time
	deployment.Each(t, func(t *testing.T, kind deployment.Kind) {
		ctx := within(t, 2*time.Minute)
		options := inLogs(1)
		options.Replicator = []string{"--archive-bytes", "1MiB"}
		f := start(t, kind, options)
		quiet := f.CreateTopic(f.conn, "quiet").Partition(0)
		f.awaitRest(ctx, t, quiet, 0)
		busy := []*series{{Partition: f.partition}, {Partition: f.CreateTopic(f.conn, "other").Partition(0)}}
		purged := make(map[string]int64)
		for len(purged) < len(busy) {
			f.publishMore(ctx, t, 400, busy...)
			for _, s := range busy {
				if begin := f.beginOfLog(ctx, t, s.Partition); begin > 0 {
					purged[s.Topic] = begin
				}
			}
		}
		file, end := f.newestOfJournal(t)
		for written := ""; written != file; {
			file, end = f.newestOfJournal(t)
			f.publishMore(ctx, t, 40, busy...)
			written, _ = f.newestOfJournal(t)
		}
		for _, s := range busy {
			f.awaitRest(ctx, t, s.Partition, s.records) // or else what is lost would count as reserved
		}
		f.cut(ctx, t, file, end)

		for _, s := range busy {
			f.expectReadOnly(ctx, t, s.Partition)
			if n, err := s.readable(ctx, f.client(t, f.URL())); n < purged[s.Topic] || n >= s.records || err == nil {
				t.Errorf("%s: %d records can be read (%v), purged were %d of %d", s.Partition, n, err, purged[s.Topic], s.records)
			}
		}
		// Its mark proves that it had nothing there.
		if ack := f.request(ctx, t, &nats.Msg{Subject: quiet.ProduceSubject(), Data: []byte("first")}); ack.Error != nil || ack.Offset != 0 {
			t.Errorf("a partition that never had a record answers %+v", ack)
		}
	})
}

// publishMore publishes this number of further records of each series, of all at the same time.
func (f *fixture) publishMore(ctx context.Context, t *testing.T, count int64, to ...*series) {
	t.Helper()
	var group errgroup.Group
	for _, s := range to {
		from := s.records
		s.records += count
		c := f.client(t, f.URL())
		group.Go(func() error { return s.publishFrom(ctx, c, from) })
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
}

// beginOfLog returns the offset of the first record in a log that was not purged.
func (f *fixture) beginOfLog(ctx context.Context, t *testing.T, p protocol.Partition) int64 {
	t.Helper()
	js, err := jetstream.New(f.conn)
	if err != nil {
		t.Fatal(err)
	}
	entries, _, err := partitionlog.New(f.conn, js, p).Read(ctx, 1, 1)
	if err != nil || len(entries) == 0 {
		t.Fatalf("no entry of %s can be read: %v", p, err)
	}
	return entries[0].Entry.BaseOffset
}

// awaitRest waits until the mark of a partition says exactly that its log ends at an offset.
func (f *fixture) awaitRest(ctx context.Context, t *testing.T, p protocol.Partition, at int64) {
	t.Helper()
	js, err := jetstream.New(f.conn)
	if err != nil {
		t.Fatal(err)
	}
	store := marks.New(f.conn, js)
	err = deployment.Eventually(ctx, func(ctx context.Context) error {
		stored, err := store.Get(ctx, p)
		if err == nil && (!stored.Exists || stored.Mark.Written != stored.Mark.Reserved || stored.Mark.Written.Offset != at) {
			err = fmt.Errorf("the mark of %s is %+v", p, stored)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// newestOfJournal returns the newest file of the only journal, and its size.
func (f *fixture) newestOfJournal(t *testing.T) (name string, size int64) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(f.streamFolder(t, "LANEWAY_JOURNAL-0"), "msgs", "*.blk"))
	if err != nil || len(files) == 0 || len(files) > 9 { // they are sorted by their names
		t.Fatalf("the journal has the files %q (%v)", files, err)
	}
	name = files[len(files)-1]
	file, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	return name, file.Size()
}

// cut removes the end of a file of JetStream while that is stopped.
func (f *fixture) cut(ctx context.Context, t *testing.T, file string, end int64) {
	t.Helper()
	keeper := f.Of(deployment.NATS)
	f.Kill(keeper)
	if err := os.Truncate(file, end); err != nil {
		t.Fatal(err)
	}
	f.Restart(keeper)
	f.AwaitConnected(ctx, f.conn)
}

// expectReadOnly checks that a partition takes no records, and that its damage is reported. An owner that ran
// all the time notices the damage when it appends.
func (f *fixture) expectReadOnly(ctx context.Context, t *testing.T, p protocol.Partition) {
	t.Helper()
	err := deployment.Eventually(ctx, func(ctx context.Context) error {
		answer, err := f.conn.RequestWithContext(ctx, p.ProduceSubject(), []byte("lost"))
		if err != nil {
			return err
		}
		if ack := ackOf(t, answer.Data); ack.Error == nil || ack.Error.Code != protocol.CodePartitionDamaged {
			return fmt.Errorf("%s answers %+v", p, ack)
		}
		info := f.Output(f.Laneway(ctx, "topic", "info", p.Topic), nil)
		if want := fmt.Sprintf("partition %d is read-only", p.Number); !strings.Contains(info, want) {
			return fmt.Errorf("topic info does not say %q:\n%s", want, info)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	f.awaitPage(ctx, t, deployment.Replicator, "readyz", p.String())
}

// readable returns how many records can be read from the beginning of a series, and what ends that.
func (s *series) readable(ctx context.Context, c *client.Client) (n int64, err error) {
	for r, err := range c.Consumer(client.ConsumerOptions{Topic: s.Topic, Partition: &s.Number}).Records(ctx) {
		if err == nil {
			err = s.check(&r)
		}
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}
