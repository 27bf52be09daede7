package embedded

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap/zaptest"
	"golang.org/x/sys/unix"
)

// smallDisk mounts a file system of its own until the test ends.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	folder := t.TempDir()
	if err := unix.Mount("tmpfs", folder, "tmpfs", 0, "size="+size); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("CI must be able to mount a tmpfs: %v", err)
		}
		t.Skipf("NOT TESTED: a full disk needs the right to mount a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(folder, 0); err != nil {
			t.Error(err)
		}
	})
	return folder
}

// fill uses up all space of a folder's file system and returns how to free it again.
func fill(t *testing.T, folder string) (free func()) {
	t.Helper()
	path := filepath.Join(folder, "fill")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	chunk := make([]byte, 1<<20)
	for err == nil {
		_, err = file.Write(chunk)
	}
	if !errors.Is(err, unix.ENOSPC) || file.Close() != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFullDiskNeedsRestartOnceItHasRoom(t *testing.T) {
	disk := smallDisk(t, "64m")
	data := filepath.Join(disk, "data")
	broken := make(chan error, 1)
	first, err := Start(Options{
		Listen: "127.0.0.1:0", Data: data, Logger: zaptest.NewLogger(t), OnBroken: func(err error) { broken <- err },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shutdown(t, first) })
	ctx, js, str := stream(t, connect(t, first))
	publish := func(js jetstream.JetStream, patience time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		_, err := js.Publish(ctx, "s", make([]byte, 8<<10), jetstream.WithRetryAttempts(0))
		return err
	}
	if err := publish(js, time.Minute); err != nil {
		t.Fatal(err)
	}
	free := fill(t, disk)
	if err := publish(js, time.Second); err == nil { // there may be no answer
		t.Fatal("a full disk takes a message")
	}
	for deadline := time.Now().Add(time.Minute); !errors.Is(first.Check(ctx), ErrStorage); {
		if time.Now().After(deadline) {
			t.Fatal("the server does not notice that its disk is full")
		}
	}
	if _, err := str.GetMsg(ctx, 1); err != nil {
		t.Errorf("what was acknowledged cannot be read on the full disk: %v", err)
	}
	select {
	case err := <-broken:
		t.Fatalf("asks for a restart on a full disk: %v", err)
	default:
	}
	free()
	select {
	case err := <-broken:
		if !errors.Is(err, ErrStorage) {
			t.Errorf("the reason is %v", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("does not ask for a restart when the disk has room")
	}
	shutdown(t, first)
	ctx, again, str := stream(t, connect(t, start(t, data)))
	if err := publish(again, time.Minute); err != nil {
		t.Errorf("after the restart: %v", err)
	}
	if info, err := str.Info(ctx); err != nil || info.State.Msgs != 2 {
		t.Errorf("after the restart: %+v, %v", info, err)
	}
}
