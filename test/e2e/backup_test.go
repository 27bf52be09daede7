package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/client"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/test/deployment"
)

// copyOf copies a folder, and returns a function that puts the copy in its place.
func copyOf(t *testing.T, folder string) (restore func()) {
	t.Helper()
	kept := filepath.Join(t.TempDir(), "copy")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.CopyFS(kept, os.DirFS(folder)))
	return func() {
		t.Helper()
		must(os.RemoveAll(folder))
		must(os.CopyFS(folder, os.DirFS(kept)))
	}
}

// alarm returns which alarm the archiver shows; "" if it shows none.
func (f *fixture) alarm(ctx context.Context) (found string, err error) {
	for _, reason := range []string{"log older", "store older"} {
		v, err := f.Sample(ctx, deployment.Archiver, "laneway_archiver_sweep_alarm", fmt.Sprintf("reason=%q", reason))
		if err != nil {
			return "", err
		}
		if v > 0 {
			found += reason
		}
	}
	return found, nil
}

// awaitEndedSweeps returns when so many sweeps have ended early since the archiver has started.
func (f *fixture) awaitEndedSweeps(ctx context.Context, n float64) {
	f.AwaitMetric(ctx, deployment.Archiver, `laneway_archiver_sweeps_total{result="ended"}`, func(v float64) bool { return v >= n })
}

// restartAfter stops the one process, does something, and starts the process again. The process need not be
// ready then, because partitions may be read-only.
func (f *fixture) restartAfter(ctx context.Context, meanwhile func()) {
	f.Terminate(deployment.Serve)
	meanwhile()
	f.Restart(deployment.Serve)
	f.AwaitConnected(ctx, f.conn)
}

// TestRestoredCopyRaisesAnAlarm restores only the logs, or only the store, from an older copy. Nothing is
// deleted until an operator accepts that.
func TestRestoredCopyRaisesAnAlarm(t *testing.T) {
	t.Parallel()
	for reason, folder := range map[string]func(f *fixture) string{
		"log older":   func(f *fixture) string { return f.Data },
		"store older": func(f *fixture) string { return f.Objects() },
	} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			ctx := within(t, 2*time.Minute)
			f := start(t, deployment.OneProcess, sweeping(time.Second))
			s := f.publishSeries(ctx, t, f.client(t, f.URL()), "kept")
			f.awaitStored(ctx, t, objectstore.KindBatches, 0)
			var restore func()
			f.restartAfter(ctx, func() { restore = copyOf(t, folder(f)) })
			f.AwaitReady(ctx)
			if reason == "log older" {
				// The objects of this topic are needed by nothing once the logs are restored.
				f.publishSeries(ctx, t, f.client(t, f.URL()), "lost")
			}
			f.awaitSweeps(ctx, 2)
			f.restartAfter(ctx, restore)

			f.awaitEndedSweeps(ctx, 1)
			if got, err := f.alarm(ctx); err != nil || got != reason {
				t.Errorf("the alarm is %q, %v, want %q", got, err, reason)
			}
			text, usage := f.storeUsage(ctx, t, 0)
			if usage.Alarm != reason || usage.Sweeps == nil || usage.Sweeps.Reason == "" || !strings.Contains(text, reason+": nothing is deleted") {
				t.Errorf("store usage says %+v\n%s", usage, text)
			}
			if log := f.Log(deployment.Serve); !strings.Contains(log, "the logs and the store are not from the same time") {
				t.Error("the archiver does not log the alarm")
			}
			before, err := f.objectKeys()
			if err != nil {
				t.Fatal(err)
			}
			f.publishSeries(ctx, t, f.client(t, f.URL()), "later")
			f.DeleteTopic(f.conn, "later")
			f.awaitEndedSweeps(ctx, 1+sweeps)
			after, err := f.objectKeys()
			if err != nil {
				t.Fatal(err)
			}
			for _, key := range before {
				if !slices.Contains(after, key) {
					t.Errorf("%s was deleted while the alarm stands", key)
				}
			}

			if said := f.Output(f.Laneway(ctx, "store", "accept", f.Store, "--nats", f.URL()), nil); !strings.Contains(said, "goes by the logs as they are") {
				t.Errorf("store accept says %q", said)
			}
			f.awaitSweeps(ctx, 1)
			if got, err := f.alarm(ctx); err != nil || got != "" {
				t.Errorf("after it was accepted, the alarm is %q, %v", got, err)
			}
			f.awaitNothingWaits(ctx, t)
			if _, usage := f.storeUsage(ctx, t, 0); usage.Alarm != "" || usage.Sweeps != nil {
				t.Errorf("after it was accepted, store usage says %+v", usage)
			}
			if err := s.follow(ctx, f.client(t, f.URL())); err != nil {
				t.Error(err)
			}
			f.verifyStore(ctx, t, 0, []string{"nothing is damaged"}, "--nats", f.URL())
		})
	}
}

// awaitNothingWaits returns when sweeps have deleted all objects that no log needs.
func (f *fixture) awaitNothingWaits(ctx context.Context, t *testing.T) {
	t.Helper()
	err := deployment.Eventually(ctx, func(ctx context.Context) error {
		if _, usage := f.storeUsage(ctx, t, 0); usage.Waiting.Objects > 0 || usage.LiveBytes == 0 {
			return fmt.Errorf("the usage of %s is %+v", f.Store, usage)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestLogsThatAreOlderThanTheStoreAreReadOnly restores NATS' data from an older copy. The logs take no records
// until an operator accepts that, or restores newer data. A single one takes records when it was repaired, and
// so do topics that were created since.
func TestLogsThatAreOlderThanTheStoreAreReadOnly(t *testing.T) {
	t.Parallel()
	type ending struct {
		whole bool // no partition is read-only after that
		end   func(ctx context.Context, t *testing.T, f *fixture, newer func())
	}
	for name, c := range map[string]ending{
		"an operator accepts it": {true, func(ctx context.Context, t *testing.T, f *fixture, _ func()) {
			f.exits(ctx, t, 0, []string{"store", "accept", f.Store, "--nats", f.URL()}, "goes by the logs as they are")
		}},
		"newer data is restored": {true, func(ctx context.Context, _ *testing.T, f *fixture, newer func()) {
			f.restartAfter(ctx, newer)
		}},
		"the partition is repaired": {false, func(ctx context.Context, t *testing.T, f *fixture, _ func()) {
			repair := []string{"topic", "repair", "kept", "--store", f.Store}
			f.exits(ctx, t, 0, repair, "partition 0: DAMAGED", "is older than the object store", "--accept-loss continues it at offset")
			f.exits(ctx, t, 0, append(repair, "--accept-loss"), "partition 0 continues at offset")
		}},
		"the topic is deleted": {false, func(_ context.Context, _ *testing.T, f *fixture, _ func()) {
			f.DeleteTopic(f.conn, "kept")
			f.CreateTopic(f.conn, "kept")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := within(t, 2*time.Minute)
			f := start(t, deployment.OneProcess, sweeping(time.Second))
			s := f.publishSeries(ctx, t, f.client(t, f.URL()), "kept")
			f.awaitSweeps(ctx, 1)
			var older, newer func()
			f.restartAfter(ctx, func() { older = copyOf(t, f.Data) })
			f.AwaitReady(ctx)
			f.publishSeries(ctx, t, f.client(t, f.URL()), "lost")
			f.awaitSweeps(ctx, 2)
			f.restartAfter(ctx, func() {
				newer = copyOf(t, f.Data)
				older()
			})

			f.awaitReadOnly(ctx, t, s)
			f.awaitTakesRecords(ctx, t, f.CreateTopic(f.conn, "other").Partition(0).ProduceSubject())
			if _, usage := f.storeUsage(ctx, t, 0); usage.Alarm != "log older" {
				t.Errorf("store usage says %+v", usage)
			}
			c.end(ctx, t, f, newer)
			f.awaitTakesRecords(ctx, t, s.ProduceSubject())
			if !c.whole {
				return
			}
			f.AwaitReady(ctx)
			f.awaitSweeps(ctx, 1)
			if got, err := f.alarm(ctx); err != nil || got != "" {
				t.Errorf("after it has ended, the alarm is %q, %v", got, err)
			}
			f.awaitTakesRecords(ctx, t, s.ProduceSubject())
		})
	}
}

// awaitReadOnly returns when a partition is read-only because its log is older than the store, and checks what
// producers, consumers and operators see.
func (f *fixture) awaitReadOnly(ctx context.Context, t *testing.T, s *series) {
	t.Helper()
	const reason = "is older than the object store"
	err := deployment.Eventually(ctx, func(ctx context.Context) error {
		answer, err := f.conn.RequestWithContext(ctx, s.ProduceSubject(), []byte("refused"))
		if err != nil {
			return err
		}
		ack := ackOf(t, answer.Data)
		if ack.Error == nil || ack.Error.Code != protocol.CodePartitionDamaged || !strings.Contains(ack.Error.Error(), messages.LogName(s.Partition)+" "+reason) {
			return fmt.Errorf("produce: %+v", ack)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	f.awaitPage(ctx, t, deployment.Replicator, "readyz", s.String(), reason, "laneway store accept")
	f.AwaitMetric(ctx, deployment.Replicator, "laneway_replicator_damaged_partitions", func(v float64) bool { return v > 0 })
	if text := f.Output(f.Laneway(ctx, "topic", "info", s.Topic), nil); !strings.Contains(text, reason) {
		t.Errorf("topic info says %s", text)
	}
	read := int64(0)
	for r, err := range f.client(t, f.URL()).Consumer(client.ConsumerOptions{Topic: s.Topic, Partition: &s.Number, MaxRecords: s.records}).Records(ctx) {
		if err == nil {
			err = s.check(&r)
		}
		if err != nil {
			t.Fatalf("after %d records: %v", read, err)
		}
		read++
	}
	if read < s.records {
		t.Errorf("%d records are read", read)
	}
}

// awaitTakesRecords returns when a record is taken.
func (f *fixture) awaitTakesRecords(ctx context.Context, t *testing.T, subject string) {
	t.Helper()
	err := deployment.Eventually(ctx, func(ctx context.Context) error {
		answer, err := f.conn.RequestWithContext(ctx, subject, []byte("taken"))
		if err != nil {
			return err
		}
		if ack := ackOf(t, answer.Data); ack.Error != nil {
			return ack.Error
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
