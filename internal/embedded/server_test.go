package embedded

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap/zaptest"
)

// start runs a server on a free port until the test ends.
func start(t *testing.T, data string) *Server {
	t.Helper()
	s, err := Start(Options{Listen: "127.0.0.1:0", Data: data, Logger: zaptest.NewLogger(t)})
	if err != nil {
		t.Fatalf("Start: %v", err)
	}
	t.Cleanup(func() { shutdown(t, s) })
	return s
}

func shutdown(t *testing.T, s *Server) {
	t.Helper()
	if err := s.Shutdown(); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

func connect(t *testing.T, s *Server) *nats.Conn {
	t.Helper()
	nc, err := s.Connect()
	if err != nil {
		t.Fatalf("Connect: %v", err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func stream(t *testing.T, nc *nats.Conn) (context.Context, jetstream.JetStream, jetstream.Stream) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	str, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}})
	if err != nil {
		t.Fatalf("stream: %v", err)
	}
	return ctx, js, str
}

func TestDataSurvivesARestart(t *testing.T) {
	data := filepath.Join(t.TempDir(), "not", "there", "yet")
	first := start(t, data)
	ctx, js, _ := stream(t, connect(t, first))
	if _, err := js.Publish(ctx, "s", []byte("kept")); err != nil {
		t.Fatal(err)
	}
	shutdown(t, first)

	ctx, _, str := stream(t, connect(t, start(t, data)))
	msg, err := str.GetMsg(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	if string(msg.Data) != "kept" {
		t.Errorf("message is %q", msg.Data)
	}
}

func TestEveryWriteIsSynced(t *testing.T) {
	s := start(t, t.TempDir())
	info, err := s.nats.Jsz(nil)
	if err != nil {
		t.Fatal(err)
	}
	if !info.Config.SyncAlways {
		t.Error("SyncAlways is off: an acknowledged write is not on disk")
	}
	if info.Config.MaxStore != maxStore {
		t.Errorf("JetStream file limit is %d, want %d", info.Config.MaxStore, int64(maxStore))
	}
}

func TestMaxPayloadIsEnforcedForEveryConnection(t *testing.T) {
	s := start(t, t.TempDir())
	remote, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatalf("connecting to %s: %v", s.ClientURL(), err)
	}
	t.Cleanup(remote.Close)
	for name, nc := range map[string]*nats.Conn{"in process": connect(t, s), "tcp": remote} {
		if got := nc.MaxPayload(); got != DefaultMaxPayload {
			t.Errorf("%s: max payload is %d, want %d", name, got, DefaultMaxPayload)
		}
		if err := nc.Publish("x", bytes.Repeat([]byte{1}, DefaultMaxPayload)); err != nil {
			t.Errorf("%s: the largest message is refused: %v", name, err)
		}
		if err := nc.Publish("x", make([]byte, DefaultMaxPayload+1)); !errors.Is(err, nats.ErrMaxPayload) {
			t.Errorf("%s: a larger message gives %v", name, err)
		}
	}
}

func TestPortInUseIsSaidAtOnceAndFreesTheFolder(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	data := t.TempDir()

	_, err = Start(Options{Listen: taken.Addr().String(), Data: data})
	if !errors.Is(err, syscall.EADDRINUSE) {
		t.Fatalf("Start on a taken port: %v", err)
	}
	if !strings.Contains(err.Error(), taken.Addr().String()) {
		t.Errorf("the error does not name the address: %v", err)
	}
	start(t, data)
}

func TestPortTakenBehindTheProbeEndsTheStart(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	// The library logs a listener's error as fatal and returns; without the adapter it would hang.
	adapter := newLogAdapter(zaptest.NewLogger(t))
	port := taken.Addr().(*net.TCPAddr).Port
	natsServer := newServer(t, serverOptions(address{host: "127.0.0.1", port: port}, t.TempDir(), 0))
	natsServer.SetLoggerV2(adapter, false, false, false)
	natsServer.Start()
	defer natsServer.WaitForShutdown()
	defer natsServer.Shutdown()
	if err := settle(natsServer, adapter); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("settle: %v", err)
	}
}

func TestUnopenableStorageReleasesFolder(t *testing.T) {
	data := t.TempDir()
	obstacle := filepath.Join(data, "nats")
	if err := os.WriteFile(obstacle, []byte("a file, not a folder"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(Options{Listen: "127.0.0.1:0", Data: data}); err == nil {
		t.Fatal("Start succeeded without storage")
	}
	if err := os.Remove(obstacle); err != nil {
		t.Fatal(err)
	}
	start(t, data)
}

func TestUnusableOptionsAreRefused(t *testing.T) {
	for name, options := range map[string]Options{
		"no data folder":    {Listen: "127.0.0.1:0"},
		"no listen address": {Data: t.TempDir()},
		"no port":           {Listen: "127.0.0.1", Data: t.TempDir()},
		"port out of range": {Listen: "127.0.0.1:70000", Data: t.TempDir()},
		"payload too large": {Listen: "127.0.0.1:0", Data: t.TempDir(), MaxPayload: 1 << 30},
	} {
		t.Run(name, func(t *testing.T) {
			if s, err := Start(options); err == nil {
				shutdown(t, s)
				t.Error("Start succeeded")
			}
		})
	}
}

func TestCheckFollowsTheServersLife(t *testing.T) {
	s := start(t, t.TempDir())
	if err := s.Check(t.Context()); err != nil {
		t.Errorf("running: %v", err)
	}
	if err := s.nats.ShutdownJetStream(); err != nil {
		t.Fatal(err)
	}
	if err := s.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "JetStream") {
		t.Errorf("without JetStream: %v", err)
	}
	shutdown(t, s)
	if err := s.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "not running") {
		t.Errorf("after shutdown: %v", err)
	}
	if _, err := s.Connect(); err == nil {
		t.Error("Connect succeeded after shutdown")
	}
}
