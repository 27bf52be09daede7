package e2e

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/pkg/protocol"
	"laneway.dev/test/deployment"
	"laneway.dev/test/history"
	"laneway.dev/test/load"
)

// smallDisk mounts a file system of some size until the test ends.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	folder := t.TempDir()
	if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, "size="+size); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("CI must be able to mount a tmpfs: %v", err)
		}
		t.Skipf("NOT TESTED: a full disk needs the right to mount a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(folder, 0); err != nil {
			t.Error(err)
		}
	})
	return folder
}

// fill writes a file until only so many bytes are free, and returns how to
// remove it.
func fill(t *testing.T, folder string, leave int64) (remove func()) {
	t.Helper()
	path := filepath.Join(folder, "fill")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for chunk := make([]byte, 64<<10); err == nil && free(t, folder) > leave; {
		_, err = file.Write(chunk)
	}
	if err != nil && !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

func free(t *testing.T, folder string) int64 {
	t.Helper()
	var stat syscall.Statfs_t
	if err := syscall.Statfs(folder, &stat); err != nil {
		t.Fatal(err)
	}
	return int64(stat.Bavail) * stat.Bsize
}

// answersOf returns how many batches of a producer have an acknowledgement, and the last error.
func answersOf(p *load.Producer) (acked int, last *protocol.Error) {
	for _, b := range p.Batches() {
		if b.Ack != nil {
			acked++
		}
		if b.Error != nil {
			last = b.Error
		}
	}
	return acked, last
}

// sendUntil sends one batch after the other until the answers satisfy a condition.
func sendUntil(ctx context.Context, t *testing.T, p *load.Producer, satisfied func(acked int, last *protocol.Error) bool) {
	t.Helper()
	for {
		if err := errors.Join(p.Send(ctx), p.Settle(ctx)); err != nil {
			t.Fatal(err)
		}
		if satisfied(answersOf(p)) {
			return
		}
	}
}

func TestAFullDiskRefusesKeepsAndRecovers(t *testing.T) {
	ctx := within(t, time.Minute)
	disk := smallDisk(t, "160m")
	f := start(t, deployment.OneProcess, deployment.Options{
		Data: filepath.Join(disk, "data"), Store: filepath.Join(disk, "objects"), // a folder keeps a reserve of its disk
	})
	p, err := load.NewProducer(f.conn, f.partition, "patient", 1, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	sendUntil(ctx, t, p, func(acked int, _ *protocol.Error) bool { return acked >= 100 })
	memory := f.memory(t)
	remove := fill(t, disk, 32<<20) // half of the reserve
	sendUntil(ctx, t, p, func(_ int, last *protocol.Error) bool { return last != nil })
	_, refusal := answersOf(p)
	if refusal.Code != protocol.CodeFailed || !refusal.Retryable() || !strings.Contains(refusal.Detail, "full") ||
		!strings.Contains(refusal.Detail, "67108864") {
		t.Errorf("the answer on a full disk is %v, want FAILED with what is free and what is kept", refusal)
	}
	failed, err := f.Sample(ctx, deployment.Frontend, `laneway_frontend_errors_total{error="FAILED",`, `request="produce"`)
	if err != nil || failed == 0 {
		t.Errorf("%v errors are counted, %v", failed, err)
	}
	records, err := history.Records(ctx, f.conn, f.partition)
	if acked, _ := answersOf(p); err != nil || len(records) != acked {
		t.Errorf("%d records can be read on a full disk, %d are acknowledged: %v", len(records), acked, err)
	}
	remove()
	acked, _ := answersOf(p)
	sendUntil(ctx, t, p, func(now int, _ *protocol.Error) bool { return now >= acked+10 })
	if _, err := history.Verify(ctx, f.conn, f.partition, map[string][]load.Batch{p.Name: p.Batches()}); err != nil {
		t.Error(err)
	}
	f.bounded(t, memory)
}

// TestADiskThatOthersHaveFilledIsCuredByARestart fills the disk of JetStream
// completely, objects being elsewhere: the reserve is of no help.
func TestADiskThatOthersHaveFilledIsCuredByARestart(t *testing.T) {
	t.Parallel() // it waits most of the time
	type cure struct {
		role, advice string // of the process that reports it
		restart      func(ctx context.Context, f *fixture)
	}
	cures := map[deployment.Kind]cure{
		// It ends by itself, for a supervisor.
		deployment.OneProcess: {deployment.Serve, "make room on the disk", func(ctx context.Context, f *fixture) {
			code := f.Wait(ctx, deployment.Serve)
			if log := f.Log(deployment.Serve); code != 1 || !strings.Contains(log, "what to do: start it again") {
				t.Errorf("ended with code %d; want 1 and what to do\n%s", code, log)
			}
			f.Restart(deployment.Serve)
		}},
		// It cannot restart another's server.
		deployment.RoleProcesses: {deployment.Replicator, "make room and restart the NATS server", func(_ context.Context, f *fixture) {
			f.Terminate(deployment.NATS)
			f.Restart(deployment.NATS)
		}},
	}
	deployment.Each(t, func(t *testing.T, kind deployment.Kind) {
		ctx := within(t, time.Minute)
		disk := smallDisk(t, "96m")
		f := start(t, kind, deployment.Options{Data: filepath.Join(disk, "data")})
		p, err := load.NewProducer(f.conn, f.partition, "patient", 1, 200*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		sendUntil(ctx, t, p, func(acked int, _ *protocol.Error) bool { return acked >= 10 })
		remove := fill(t, disk, 0)
		sendUntil(ctx, t, p, func(int, *protocol.Error) bool {
			err := f.Ready(ctx, cures[kind].role)
			return err != nil && strings.Contains(err.Error(), cures[kind].advice)
		})
		acked, _ := answersOf(p)
		if records, err := history.Records(ctx, f.conn, f.partition); err != nil || len(records) != acked {
			t.Errorf("%d records can be read on a full disk, %d are acknowledged: %v", len(records), acked, err)
		}
		remove()
		cures[kind].restart(ctx, f)
		f.AwaitReady(ctx)
		f.AwaitConnected(ctx, f.conn)
		for now := acked; now < acked+10; now, _ = answersOf(p) {
			_ = p.Send(ctx) // services may be connecting again
			if err := p.Settle(ctx); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := history.Verify(ctx, f.conn, f.partition, map[string][]load.Batch{p.Name: p.Batches()}); err != nil {
			t.Error(err)
		}
	})
}

// TestServeStartsOnceFullDiskHasRoom is what a supervisor
// brings about that starts it again and again.
func TestServeStartsOnceFullDiskHasRoom(t *testing.T) {
	t.Parallel() // it waits most of the time
	ctx := within(t, 2*time.Minute)
	disk := smallDisk(t, "96m")
	f := start(t, deployment.OneProcess, deployment.Options{Data: filepath.Join(disk, "data")})
	probes := f.probe(ctx, t, "before")
	f.Kill(deployment.Serve)
	remove := fill(t, disk, 0)
	f.Restart(deployment.Serve)
	err := deployment.Eventually(ctx, func(ctx context.Context) error {
		if strings.Contains(f.Log(deployment.Serve), "is almost full") {
			return nil
		}
		return errors.New("the log does not say that the disk is full")
	})
	if err != nil {
		t.Fatal(err)
	}
	remove()
	err = deployment.Eventually(ctx, func(ctx context.Context) error {
		if f.Ended(deployment.Serve) {
			f.Restart(deployment.Serve)
		}
		return f.Ready(ctx, deployment.Serve)
	})
	if err != nil {
		t.Fatal(err)
	}
	f.AwaitConnected(ctx, f.conn)
	probes["after"] = f.probe(ctx, t, "after")["after"]
	if _, err := history.Verify(ctx, f.conn, f.partition, probes); err != nil {
		t.Error(err)
	}
}

// TestFrontendOnFullDiskServesReaders restarts the services whose start
// takes an epoch while JetStream cannot write.
func TestFrontendOnFullDiskServesReaders(t *testing.T) {
	t.Parallel() // it waits most of the time
	ctx := within(t, time.Minute)
	disk := smallDisk(t, "96m")
	f := start(t, deployment.RoleProcesses, deployment.Options{Data: filepath.Join(disk, "data")})
	probes := f.probe(ctx, t, "before")
	remove := fill(t, disk, 0)
	f.exhaustEpochs(ctx, t)
	for _, role := range []string{deployment.Sequencer, deployment.Frontend} {
		f.Terminate(role)
		f.Restart(role)
	}
	err := deployment.Eventually(ctx, func(ctx context.Context) error {
		_, err := history.Verify(ctx, f.conn, f.partition, probes)
		return err
	})
	if err != nil {
		t.Errorf("what was acknowledged cannot be read on a full disk: %v", err)
	}
	if err := f.Ready(ctx, deployment.Frontend); err == nil {
		t.Error("a frontend without an epoch says that it is ready")
	}
	remove()
	f.Terminate(deployment.NATS)
	f.Restart(deployment.NATS)
	f.AwaitReady(ctx)
	f.AwaitConnected(ctx, f.conn)
	probes["after"] = f.probe(ctx, t, "after")["after"]
	if _, err := history.Verify(ctx, f.conn, f.partition, probes); err != nil {
		t.Error(err)
	}
}

// exhaustEpochs writes to the bucket of epochs until that fails: the last page of its
// file has room for some.
func (f *fixture) exhaustEpochs(ctx context.Context, t *testing.T) {
	t.Helper()
	js, err := jetstream.New(f.conn)
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue(ctx, "LANEWAY_EPOCHS")
	if err != nil {
		t.Fatal(err)
	}
	for err == nil && ctx.Err() == nil {
		attempt, cancel := context.WithTimeout(ctx, 2*time.Second)
		_, err = kv.Put(attempt, "filler", make([]byte, 256))
		cancel()
	}
}
