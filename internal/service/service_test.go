package service_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"laneway.dev/internal/embedded"
	"laneway.dev/internal/ownership"
	"laneway.dev/internal/service"
	"laneway.dev/internal/telemetry"
	"laneway.dev/internal/transport"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait of a test. It is never reached unless the test fails.
const patience = 15 * time.Second

var readings = []telemetry.Reading{{Name: "laneway.test.things", Description: "Things", Unit: "{thing}"}}

// rig is a service over a real NATS server, and a connection of the test's own.
type rig struct {
	t       *testing.T
	server  *embedded.Server
	config  service.Config
	service *service.Base
	peer    *nats.Conn
}

func newRig(t *testing.T) *rig {
	t.Helper()
	for _, name := range []string{"OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER"} {
		t.Setenv(name, "none")
	}
	r := &rig{t: t}
	var err error
	r.server, err = embedded.Start(embedded.Options{Listen: "127.0.0.1:0", Data: t.TempDir()})
	r.must(err)
	t.Cleanup(func() { r.must(r.server.Shutdown()) })
	signals, err := telemetry.Setup(t.Context(), "test", "")
	r.must(err)
	t.Cleanup(func() { _ = signals.Shutdown(context.Background()) })
	r.config = service.Config{Conn: r.connect(), Logger: zap.NewNop(), Telemetry: signals}
	r.service, r.peer = service.New("test", r.config), r.connect()
	return r
}

func (r *rig) connect() *nats.Conn {
	r.t.Helper()
	conn, err := r.server.Connect(transport.Options("test", zap.NewNop())...)
	r.must(err)
	r.t.Cleanup(conn.Close)
	return conn
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// start begins one thing of each kind.
func (r *rig) start(ctx context.Context) error {
	if err := r.service.Observe(readings, func() []int64 { return []int64{1} }); err != nil {
		return err
	}
	r.service.Go(func(ctx context.Context) { <-ctx.Done() })
	_, err := r.service.Subscribe(ctx, messages.SequencerWildcard, "", func(messages.Message) {})
	return err
}

// runs reports whether messages are received and metrics are shown.
func (r *rig) runs() (received, shown bool) {
	r.t.Helper()
	_, err := r.peer.Request(messages.SequencerProbe, nil, 100*time.Millisecond)
	if err != nil && !errors.Is(err, nats.ErrNoResponders) && !errors.Is(err, nats.ErrTimeout) {
		r.t.Fatal(err)
	}
	families, gathered := r.config.Telemetry.Registry.Gather()
	r.must(gathered)
	for _, f := range families {
		shown = shown || f.GetName() == "laneway_test_things"
	}
	return !errors.Is(err, nats.ErrNoResponders), shown
}

// wait returns when a channel is closed or has something.
func wait[T any](t *testing.T, what string, from <-chan T) {
	t.Helper()
	select {
	case <-from:
	case <-time.After(patience):
		t.Fatalf("%s: not within %s", what, patience)
	}
}

func TestStopEndsWhatTheStartBegan(t *testing.T) {
	r := newRig(t)
	r.must(r.start(t.Context()))
	if received, shown := r.runs(); !received || !shown {
		t.Errorf("received: %t, shown: %t", received, shown)
	}
	r.must(r.service.Stop(t.Context()))
	if received, shown := r.runs(); received || shown {
		t.Errorf("after the stop, received: %t, shown: %t", received, shown)
	}
	r.must(r.service.Stop(t.Context()))
}

func TestStepsRunInReverseOrderAndAllOfThem(t *testing.T) {
	r := newRig(t)
	first, third := errors.New("first"), errors.New("third")
	var order []string
	r.service.OnStop(func(context.Context) error { order = append(order, "a"); return first })
	r.service.OnStop(func(context.Context) error { order = append(order, "b"); return nil })
	r.service.OnStop(func(context.Context) error { order = append(order, "c"); return third })
	err := r.service.Stop(t.Context())
	if got := strings.Join(order, ""); got != "cba" || !errors.Is(err, first) || !errors.Is(err, third) {
		t.Errorf("order %s, error %v", got, err)
	}
}

// A subscription to a new epoch may be added while the stop waits for answers.
func TestStepAddedDuringTheStopRuns(t *testing.T) {
	r := newRig(t)
	late := false
	r.service.OnStop(func(context.Context) error {
		r.service.OnStop(func(context.Context) error { late = true; return nil })
		return nil
	})
	r.must(r.service.Stop(t.Context()))
	if !late {
		t.Error("the step did not run")
	}
}

func TestFailedStartIsUndone(t *testing.T) {
	r := newRig(t)
	r.must(r.start(t.Context()))
	failure := errors.New("half way")
	err := r.service.Abort(failure)
	if !errors.Is(err, failure) || !strings.HasPrefix(err.Error(), "start test: half way") {
		t.Errorf("error %v", err)
	}
	r.must(r.config.Conn.Flush())
	if received, shown := r.runs(); received || shown {
		t.Errorf("after the start failed, received: %t, shown: %t", received, shown)
	}
}

func TestStepsOfAFailedStartHaveNoTimeToWait(t *testing.T) {
	r := newRig(t)
	r.service.OnStop(func(ctx context.Context) error { return ctx.Err() })
	if err := r.service.Abort(errors.New("half way")); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want the context of the step canceled", err)
	}
}

func TestSubscriptionThatTheServerDoesNotConfirmIsUndone(t *testing.T) {
	r := newRig(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.service.Subscribe(ctx, messages.SequencerWildcard, "", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	r.must(r.config.Conn.Flush())
	if n := r.config.Conn.NumSubscriptions(); n != 0 {
		t.Errorf("%d subscriptions are left", n)
	}
}

func TestStartDoesNotWaitForAClosedConnection(t *testing.T) {
	r := newRig(t)
	r.config.Conn.Close()
	if err := r.start(t.Context()); !errors.Is(err, nats.ErrConnectionClosed) {
		t.Errorf("error %v", err)
	}
	_ = r.service.Abort(nil)
}

func TestReplacedServiceEnds(t *testing.T) {
	r := newRig(t)
	if r.service.FailIfReplaced(nil) || r.service.FailIfReplaced(errors.New("no leader")) || r.service.Err() != nil {
		t.Fatalf("ended with %v before it was replaced", r.service.Err())
	}
	if !r.service.FailIfReplaced(ownership.ErrReplaced) {
		t.Error("it was replaced and continues")
	}
	r.service.Fail(errors.New("a later reason"))
	wait(t, "the end", r.service.Done())
	if err := r.service.Err(); !errors.Is(err, ownership.ErrReplaced) || !strings.HasPrefix(err.Error(), "test: ") {
		t.Errorf("ended with %v", err)
	}
}

func TestCheckInEachState(t *testing.T) {
	r := newRig(t)
	r.must(r.service.Check(t.Context()))
	lost := r.config.Conn.StatusChanged(nats.RECONNECTING)
	r.must(r.server.Shutdown())
	wait(t, "the disconnection", lost)
	if err := r.service.Check(t.Context()); !errors.Is(err, protocol.NewError(protocol.CodeUnavailable, "")) {
		t.Errorf("without NATS: %v", err)
	}
	reason := errors.New("reason")
	r.service.Fail(reason)
	if err := r.service.Check(t.Context()); !errors.Is(err, reason) {
		t.Errorf("after the end: %v", err)
	}
}

func TestStopWithoutNATSEnds(t *testing.T) {
	r := newRig(t)
	r.must(r.start(t.Context()))
	lost := r.config.Conn.StatusChanged(nats.RECONNECTING)
	r.must(r.server.Shutdown())
	wait(t, "the disconnection", lost)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	stopped := make(chan error, 1)
	go func() { stopped <- r.service.Stop(ctx) }()
	wait(t, "the stop", stopped)
}

func TestStatusOfTheConnectionIsReported(t *testing.T) {
	r := newRig(t)
	lost := make(chan struct{}, 1)
	r.service.OnStatus(nats.RECONNECTING, func() { lost <- struct{}{} })
	r.must(r.server.Shutdown())
	wait(t, "the disconnection", lost)
	_ = r.service.Stop(t.Context())
}
