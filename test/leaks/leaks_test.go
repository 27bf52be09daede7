// Package leaks runs the services in the process of the test, where every
// goroutine can be counted. The object store is always a folder: a client of a
// remote store keeps idle connections, each with goroutines, for a while.
package leaks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest"

	"laneway.dev/cmd/laneway/process"
	"laneway.dev/internal/embedded"
	"laneway.dev/internal/fault"
	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/storeid"
	"laneway.dev/internal/telemetry"
	"laneway.dev/internal/transport"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/frontend"
	"laneway.dev/services/sequencer"
	"laneway.dev/test/deployment"
	"laneway.dev/test/history"
	"laneway.dev/test/load"
)

// idle is how long after load nothing may be left. It is shorter than the deadline of a
// batch, which would clear away what nothing else does.
const idle = 25 * time.Second

// laneway is all of Laneway in this process.
type laneway struct {
	server    *embedded.Server
	services  *process.Services
	telemetry *telemetry.Telemetry
	store     objectstore.Store
}

func start(t *testing.T, log *zap.Logger) *laneway {
	t.Helper()
	l := &laneway{}
	data := t.TempDir()
	var err error
	must := func() {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	l.server, err = embedded.Start(embedded.Options{Listen: "127.0.0.1:0", Data: data, Logger: log})
	must()
	l.store, err = objectstore.Open(data+"/objects", 0)
	must()
	l.telemetry, err = telemetry.Setup(t.Context(), "serve", "test")
	must()
	faults, err := fault.Parse([]string{"stage.delay=uniform(0,50ms)", "stage.fail=0.02"}, 1)
	must()
	config := process.Config{Logger: log, Telemetry: l.telemetry, Connect: func(role string) (*nats.Conn, error) {
		return l.server.Connect(transport.Options("laneway-"+role, log)...)
	}}
	config.Store = storeid.Candidate{Store: l.store, Place: data}
	config.Stager.Faults = faults
	l.services, err = process.Start(t.Context(), config, process.Roles()...)
	must()
	return l
}

func (l *laneway) stop(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err := errors.Join(l.services.Stop(ctx), l.telemetry.Shutdown(ctx), l.store.Close(), l.server.Shutdown())
	if err != nil {
		t.Error(err)
	}
}

func (l *laneway) connect(t *testing.T) *nats.Conn {
	t.Helper()
	conn, err := nats.Connect(l.server.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func createTopic(ctx context.Context, conn *nats.Conn, name string) (protocol.Topic, error) {
	body, err := json.Marshal(protocol.TopicConfig{Name: name})
	if err != nil {
		return protocol.Topic{}, err
	}
	answer, err := conn.RequestWithContext(ctx, protocol.TopicAPI+"create", body)
	if err != nil {
		return protocol.Topic{}, err
	}
	var response protocol.TopicResponse
	if err := json.Unmarshal(answer.Data, &response); err != nil {
		return protocol.Topic{}, err
	}
	if response.Error != nil {
		return protocol.Topic{}, response.Error
	}
	return *response.Topic, nil
}

func TestIdleServicesReleaseEverything(t *testing.T) {
	log := zaptest.NewLogger(t, zaptest.Level(zapcore.FatalLevel))
	before := goleak.IgnoreCurrent()
	l := start(t, log)
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()

	conn := l.connect(t)
	topic, err := createTopic(ctx, conn, "orders")
	if err != nil {
		t.Fatal(err)
	}
	l.run(ctx, t, conn, topic.Partition(0), "warm", 2, 20) // what is made once, such as timers and buffers, is there
	conn.Close()
	l.awaitIdle(ctx, t)
	started := runtime.NumGoroutine()

	conn = l.connect(t)
	l.run(ctx, t, conn, topic.Partition(0), "load", 50, 100)
	conn.Close()
	l.awaitIdle(ctx, t)
	l.awaitGoroutines(ctx, t, started)
	l.stop(t)
	goleak.VerifyNone(t, before)
}

func (l *laneway) run(ctx context.Context, t *testing.T, conn *nats.Conn, partition protocol.Partition, name string, producers, batches int) {
	t.Helper()
	fleet, err := load.NewFleet(conn, load.Config{
		Partition: partition, Name: name, Producers: producers, InFlight: 20, Patience: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := fleet.Send(ctx, batches); err != nil {
		t.Fatal(err)
	}
	sent := fleet.Batches()
	if _, _, err := history.AllAnswered(sent); err != nil {
		t.Error(err)
	}
	if _, err := history.Records(ctx, conn, partition); err != nil {
		t.Error(err)
	}
}

// awaitIdle returns when no lane and no ticket is left, which must be within the idle time.
func (l *laneway) awaitIdle(ctx context.Context, t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, idle)
	defer cancel()
	err := deployment.Eventually(ctx, func(context.Context) error {
		lanes := l.services.Service(process.Sequencer).(*sequencer.Service).Stats()
		tickets := l.services.Service(process.Frontend).(*frontend.Service).Stats().Outstanding
		if lanes.Lanes+lanes.Waiting+tickets > 0 {
			return fmt.Errorf("%d lanes, %d waiting batches and %d tickets are left", lanes.Lanes, lanes.Waiting, tickets)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func (l *laneway) awaitGoroutines(ctx context.Context, t *testing.T, started int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, idle)
	defer cancel()
	err := deployment.Eventually(ctx, func(context.Context) error {
		if n := runtime.NumGoroutine(); n > started {
			return fmt.Errorf("%d goroutines, there were %d before the load", n, started)
		}
		return nil
	})
	if err != nil {
		stacks := make([]byte, 1<<20)
		t.Errorf("%v\n%s", err, stacks[:runtime.Stack(stacks, true)])
	}
}
