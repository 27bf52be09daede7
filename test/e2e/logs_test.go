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
	"golang.org/x/sync/errgroup"

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

// TestDamageOfTheOnlyLog removes the end of the journal that all partitions are in.
func TestDamageOfTheOnlyLog(t *testing.T) {
	t.Parallel() // it waits most of the time
	deployment.Each(t, func(t *testing.T, kind deployment.Kind) {
		ctx := within(t, 2*time.Minute)
		options := inLogs(1)
		options.Replicator = []string{"--archive-bytes", "1MiB"}
		f := start(t, kind, options)
		var busy []*series
		var publish errgroup.Group
		for _, p := range []protocol.Partition{f.partition, f.CreateTopic(f.conn, "other").Partition(0)} {
			s := &series{Partition: p, records: 600}
			busy = append(busy, s)
			publish.Go(func() error { return s.publish(ctx, f.client(t, f.URL())) })
		}
		quiet := f.CreateTopic(f.conn, "quiet").Partition(0)
		if err := publish.Wait(); err != nil {
			t.Fatal(err)
		}
		archived := make(map[string]int64)
		for _, s := range busy {
			archived[s.Topic] = f.awaitLog(ctx, t, s.Partition, "it archived in part", func(s partitionlog.State) bool {
				return s.History.Archived()
			}).History.End.Offset
		}
		f.cutJournal(ctx, t)

		for _, s := range busy {
			f.expectReadOnly(ctx, t, s.Partition)
			if n, err := s.readable(ctx, f.client(t, f.URL())); n < archived[s.Topic] || n >= s.records || err == nil {
				t.Errorf("%s: %d records can be read (%v), archived were %d of %d", s.Partition, n, err, archived[s.Topic], s.records)
			}
		}
		// Its mark proves that it had nothing there.
		if ack := f.request(ctx, t, &nats.Msg{Subject: quiet.ProduceSubject(), Data: []byte("first")}); ack.Error != nil || ack.Offset != 0 {
			t.Errorf("a partition that never had a record answers %+v", ack)
		}
	})
}

// cutJournal removes the last quarter of the newest file of the only journal.
func (f *fixture) cutJournal(ctx context.Context, t *testing.T) {
	t.Helper()
	messages := filepath.Join(f.streamFolder(t, "LANEWAY_JOURNAL-0"), "msgs")
	keeper := f.Of(deployment.NATS)
	f.Kill(keeper)
	blocks, err := filepath.Glob(filepath.Join(messages, "*.blk"))
	if err != nil || len(blocks) != 1 {
		t.Fatalf("the journal has the files %q (%v)", blocks, err)
	}
	file, err := os.Stat(blocks[0])
	if err == nil {
		err = os.Truncate(blocks[0], file.Size()/4*3)
	}
	if err != nil {
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
