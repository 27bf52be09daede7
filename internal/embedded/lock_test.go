package embedded

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
)

func newServer(t *testing.T, options *server.Options) *server.Server {
	t.Helper()
	s, err := server.NewServer(options)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSecondStartNamesHolder(t *testing.T) {
	data := t.TempDir()
	start(t, data)

	_, err := Start(Options{Listen: "127.0.0.1:0", Data: data})
	if !errors.Is(err, ErrLocked) {
		t.Fatalf("second Start: %v", err)
	}
	var locked *LockedError
	if !errors.As(err, &locked) || locked.PID != os.Getpid() || locked.Folder != data {
		t.Errorf("error carries %+v", locked)
	}
	if want := "another laneway serve (pid " + strconv.Itoa(os.Getpid()) + ")"; !strings.Contains(err.Error(), want) {
		t.Errorf("error %q does not say %q", err, want)
	}
}

func TestShutdownFreesTheFolder(t *testing.T) {
	data := t.TempDir()
	first := start(t, data)
	shutdown(t, first)
	shutdown(t, first)
	start(t, data)
}

func TestLockOfADeadProcessIsTaken(t *testing.T) {
	data := t.TempDir()
	if err := os.WriteFile(filepath.Join(data, lockName), []byte("4194304\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, data)
}

func TestHolderWithoutAPIDIsStillAHolder(t *testing.T) {
	data := t.TempDir()
	lock, err := lockFolder(data)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lock.release(); err != nil {
			t.Error(err)
		}
	})
	for _, content := range []string{"", "garbage\n"} {
		if err := os.WriteFile(filepath.Join(data, lockName), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := lockFolder(data)
		if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "pid unknown") {
			t.Errorf("lock file %q: %v", content, err)
		}
	}
}
