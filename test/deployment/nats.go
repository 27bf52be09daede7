package deployment

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"laneway.dev/test/machine"
)

// NATSServer is a plain NATS server beside a deployment.
type NATSServer struct {
	URL     string
	process *process
}

// Kill ends the server by SIGKILL.
func (s *NATSServer) Kill(t testing.TB) {
	t.Helper()
	if err := s.process.signal(syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	<-s.process.done
}

// StartNATS runs a plain NATS server beside a deployment, on a free port of the
// loopback interface, until the test ends, and returns its URL. config is the
// server's, but for where it listens.
func StartNATS(t testing.TB, config string) string {
	t.Helper()
	return StartNATSServer(t, config).URL
}

// StartNATSServer is StartNATS for a test that ends the server itself.
func StartNATSServer(t testing.TB, config string) *NATSServer {
	t.Helper()
	folder := t.TempDir()
	file, log := filepath.Join(folder, "nats.conf"), filepath.Join(folder, "nats.log")
	if err := os.WriteFile(file, []byte("listen: 127.0.0.1:-1\n"+config), 0o600); err != nil {
		t.Fatal(err)
	}
	server, err := startProcess(machine.Binary("nats-server"), []string{"--config", file, "--ports_file_dir", folder}, os.Environ(), log)
	if err != nil {
		t.Fatal(err)
	}
	s := &NATSServer{process: server}
	t.Cleanup(func() {
		s.Kill(t)
		if content, err := os.ReadFile(log); err == nil && t.Failed() {
			t.Logf("log of a NATS server:\n%s", tail(string(content)))
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	var ports struct{ NATS []string }
	err = Eventually(ctx, func(context.Context) error {
		if server.ended() {
			return nil
		}
		content, err := os.ReadFile(filepath.Join(folder, fmt.Sprintf("nats-server_%d.ports", server.command.Process.Pid)))
		if err != nil {
			return err
		}
		return json.Unmarshal(content, &ports)
	})
	if err != nil || len(ports.NATS) == 0 {
		t.Fatalf("a NATS server has ended, or does not say where it listens: %v", err)
	}
	s.URL = ports.NATS[0]
	return s
}
