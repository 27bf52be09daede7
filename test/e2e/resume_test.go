package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/test/deployment"
	"laneway.dev/test/machine"
)

// sourceFile writes a file of so many lines, which are all different and some empty
// at the end.
func sourceFile(t *testing.T, lines int) (path, content string) {
	t.Helper()
	var text strings.Builder
	for n := range lines {
		fmt.Fprintf(&text, "%d %s\n", n, strings.Repeat("x", n%97))
	}
	path = filepath.Join(t.TempDir(), "source.txt")
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, text.String()
}

// feed returns a run of laneway produce that feeds a file under a name, slowly
// enough to be interrupted.
func (f *fixture) feed(ctx context.Context, path string) *exec.Cmd {
	return f.Laneway(ctx, "produce", "--name", "feed", "--batch-bytes", "2KiB", "orders", path)
}

// slowUploads makes a file of a few MB take seconds.
var slowUploads = stager("--object-batches", "1", "--uploads", "64", "--fault", "stage.delay=uniform(0,20ms)")

func TestKilledFileProducerIsExactlyOnce(t *testing.T) {
	t.Parallel()
	ctx := within(t, 3*time.Minute)
	f := start(t, deployment.RoleProcesses, slowUploads)
	path, content := sourceFile(t, 100_000)
	const kills = 20
	killed := 0
	for range kills {
		command := f.feed(ctx, path)
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		elapse(ctx, time.Duration(rand.Int64N(int64(400*time.Millisecond))))
		if err := command.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Fatal(err)
		}
		if command.Wait() != nil {
			killed++
		}
	}
	t.Logf("%d of %d runs were killed before they ended", killed, kills)
	f.Output(f.feed(ctx, path), nil)
	if killed < kills/2 {
		t.Errorf("only %d runs were killed on their way: the test has not tested what it is for", killed)
	}
	f.sameAs(ctx, t, content)
	f.Output(f.feed(ctx, path), nil) // there is nothing left to do
	f.sameAs(ctx, t, content)
}

// sameAs checks that the log is the file.
func (f *fixture) sameAs(ctx context.Context, t *testing.T, content string) {
	t.Helper()
	if got := f.Output(f.Laneway(ctx, "consume", "orders"), nil); got != content {
		t.Fatalf("the log has %d lines and %d bytes, the file %d and %d",
			strings.Count(got, "\n"), len(got), strings.Count(content, "\n"), len(content))
	}
}

func TestAnOldInstanceThatGoesOnIsFenced(t *testing.T) {
	t.Parallel()
	ctx := within(t, 2*time.Minute)
	f := start(t, deployment.RoleProcesses, slowUploads)
	path, content := sourceFile(t, 50_000)
	var said bytes.Buffer
	old := f.feed(ctx, path)
	old.Stderr = &said
	if err := old.Start(); err != nil {
		t.Fatal(err)
	}
	f.AwaitMetric(ctx, deployment.Replicator, "laneway_replicator_batches_total", func(v float64) bool { return v > 50 })
	if err := machine.Pause(old.Process); err != nil {
		t.Fatal(err)
	}
	f.Output(f.feed(ctx, path), nil)
	if err := old.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if err := old.Wait(); err == nil || !strings.Contains(said.String(), "INVALID_PRODUCER_EPOCH") {
		t.Errorf("the old instance ends with %v: %s", err, said.String())
	}
	f.sameAs(ctx, t, content)
}

// What names need beyond the logs is kept in a bucket. Its records are lost one by one,
// in a way that Laneway does not notice, or with the bucket.
func TestFileProducerWithLostRecordIsExactlyOnce(t *testing.T) {
	t.Parallel() // it waits most of the time
	const stream = "KV_LANEWAY_PRODUCERS"
	for name, lose := range map[string]func(context.Context, *testing.T, *fixture){
		"the record": func(ctx context.Context, t *testing.T, f *fixture) {
			js, err := jetstream.New(f.conn)
			if err != nil {
				t.Fatal(err)
			}
			bucket, err := js.Stream(ctx, stream)
			if err == nil {
				err = bucket.Purge(ctx)
			}
			if err != nil {
				t.Fatal(err)
			}
		},
		"the bucket": func(ctx context.Context, t *testing.T, f *fixture) {
			folder := f.streamFolder(t, stream)
			f.damage(ctx, t, func() {
				if err := os.RemoveAll(folder); err != nil {
					t.Fatal(err)
				}
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := within(t, time.Minute)
			f := start(t, deployment.OneProcess, deployment.Options{})
			path, content := sourceFile(t, 3000)
			part := filepath.Join(t.TempDir(), "part.txt")
			if err := os.WriteFile(part, []byte(content[:strings.Index(content, "\n2000 ")+1]), 0o600); err != nil {
				t.Fatal(err)
			}
			f.Output(f.feed(ctx, part), nil)
			for range 2 { // the second time the name has lost its second id
				lose(ctx, t, f)
				f.Output(f.feed(ctx, path), nil)
				f.sameAs(ctx, t, content)
			}
			f.Output(f.feed(ctx, path), nil)
			f.sameAs(ctx, t, content)
		})
	}
}
