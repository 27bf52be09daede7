package process_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"laneway.dev/cmd/laneway/process"
	"laneway.dev/internal/embedded"
	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/storeid"
	"laneway.dev/internal/telemetry"
	"laneway.dev/internal/transport"
	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// deployment returns an embedded server and the configuration of services on it.
func deployment(t *testing.T) (*embedded.Server, process.Config) {
	t.Helper()
	server, err := embedded.Start(embedded.Options{Listen: "127.0.0.1:0", Data: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Shutdown() })
	store, err := objectstore.Open(t.TempDir(), 0)
	if err != nil {
		t.Fatal(err)
	}
	tele, err := telemetry.Setup(t.Context(), "test", "")
	if err != nil {
		t.Fatal(err)
	}
	config := process.Config{
		Connect: func(role string) (*nats.Conn, error) {
			return server.Connect(transport.Options(role, zap.NewNop())...)
		},
		Store:  storeid.Candidate{Store: store, Place: "the store of the test"},
		Logger: zap.NewNop(), Telemetry: tele,
	}
	return server, config
}

func stop(t *testing.T, r *process.Services) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := r.Stop(ctx); err != nil {
		t.Error(err)
	}
}

func TestServicesCarryRecords(t *testing.T) {
	server, config := deployment(t)
	services, err := process.Start(t.Context(), config, process.Roles()...)
	if err != nil {
		t.Fatal(err)
	}
	defer stop(t, services)
	for _, role := range process.Roles() {
		awaitReady(t, services, role)
	}
	conn, err := server.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	laneway := client.New(conn)
	defer laneway.Close()
	roundTrip(t, laneway)
	if err := services.Err(); err != nil {
		t.Error(err)
	}
}

// awaitReady returns when a service is ready. A frontend is ready once the other
// services have answered its probes.
func awaitReady(t *testing.T, services *process.Services, role string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	pace := time.NewTicker(time.Millisecond)
	defer pace.Stop()
	for {
		err := services.Service(role).Check(ctx)
		if err == nil {
			return
		}
		select {
		case <-pace.C:
		case <-ctx.Done():
			t.Fatalf("%s: %v", role, err)
		}
	}
}

func roundTrip(t *testing.T, laneway *client.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := laneway.Admin().CreateTopic(ctx, protocol.TopicConfig{Name: "orders"}); err != nil {
		t.Fatal(err)
	}
	want := []string{"one", "", "three"}
	produce(ctx, t, laneway, want...)
	var got []string
	for record, err := range laneway.Consumer(client.ConsumerOptions{Topic: "orders"}).Records(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(record.Value))
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func produce(ctx context.Context, t *testing.T, laneway *client.Client, values ...string) {
	t.Helper()
	producer, err := laneway.Producer(ctx, "orders", client.ProducerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, value := range values {
		if _, err := producer.Publish(ctx, client.ProducerRecord{Value: []byte(value)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := producer.Close(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestFailedStartLeavesNothingRunning(t *testing.T) {
	_, config := deployment(t)
	broken := errors.New("no connection for it")
	connect, opened := config.Connect, []*nats.Conn{}
	config.Connect = func(role string) (*nats.Conn, error) {
		if role == process.Stager {
			return nil, broken
		}
		conn, err := connect(role)
		opened = append(opened, conn)
		return conn, err
	}
	if _, err := process.Start(t.Context(), config, process.Roles()...); !errors.Is(err, broken) {
		t.Fatalf("error %v", err)
	}
	if len(opened) != 3 {
		t.Errorf("%d services were started before the stager, want the archiver, the replicator and the sequencer", len(opened))
	}
	for _, conn := range opened {
		if !conn.IsClosed() {
			t.Error("a connection is still open")
		}
	}
}

func TestRejectsTinyMaxPayload(t *testing.T) {
	_, config := deployment(t)
	tiny, err := embedded.Start(embedded.Options{Listen: "127.0.0.1:0", Data: t.TempDir(), MaxPayload: protocol.MinMaxPayload - 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tiny.Shutdown() })
	config.Connect = func(role string) (*nats.Conn, error) { return tiny.Connect(transport.Options(role, zap.NewNop())...) }
	for _, role := range process.Roles() {
		if _, err := process.Start(t.Context(), config, role); err == nil || !strings.Contains(err.Error(), "max_payload") {
			t.Errorf("%s: error %v", role, err)
		}
	}
}

func TestRejectsUnknownService(t *testing.T) {
	_, config := deployment(t)
	if _, err := process.Start(t.Context(), config, "broker"); err == nil {
		t.Error("no error")
	}
}

func TestReplacedServiceIsReported(t *testing.T) {
	_, config := deployment(t)
	services, err := process.Start(t.Context(), config, process.Roles()...)
	if err != nil {
		t.Fatal(err)
	}
	defer stop(t, services)
	younger, err := process.Start(t.Context(), config, process.Frontend)
	if err != nil {
		t.Fatal(err)
	}
	defer stop(t, younger)
	select {
	case <-services.Ended():
	case <-time.After(time.Minute):
		t.Fatal("the older frontend continues")
	}
	if services.Err() == nil {
		t.Error("it does not say why")
	}
}
