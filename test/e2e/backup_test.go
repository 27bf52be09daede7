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
			restart := func(meanwhile func()) {
				t.Helper()
				f.Terminate(deployment.Serve)
				meanwhile()
				f.Restart(deployment.Serve)
				f.AwaitReady(ctx)
				f.AwaitConnected(ctx, f.conn)
			}
			var restore func()
			restart(func() { restore = copyOf(t, folder(f)) })
			if reason == "log older" {
				// The objects of this topic are needed by nothing once the logs are restored.
				f.publishSeries(ctx, t, f.client(t, f.URL()), "lost")
			}
			f.awaitSweeps(ctx, 2)
			restart(restore)

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
