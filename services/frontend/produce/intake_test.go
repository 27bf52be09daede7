package produce

import (
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"laneway.dev/internal/embedded/embeddedtest"
	"laneway.dev/internal/transport"
)

func TestRequestsAreHandledInArrivalOrder(t *testing.T) {
	conn, _ := embeddedtest.Start(t)
	subjects := []string{"laneway.produce.orders.0", "orders.>", "returns.*", "complaints"}
	sendTo := []string{"laneway.produce.orders.0", "orders.eu.new", "returns.eu", "complaints", "orders.us"}
	const many = 20_000
	var next, busy atomic.Int64
	failed, done := make(chan string, 1), make(chan struct{})
	in, err := openIntake(startArrivals(t, conn), subjects, func(m *nats.Msg) {
		if busy.Add(1) > 1 {
			offer(failed, "two requests were handled at once")
		}
		if want := next.Add(1) - 1; string(m.Data) != strconv.FormatInt(want, 10) {
			offer(failed, fmt.Sprintf("request %s on %s was handled as the %d.", m.Data, m.Subject, want))
		}
		busy.Add(-1)
		if next.Load() == many {
			close(done)
		}
	}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	for n := range many {
		if err := conn.Publish(sendTo[n%len(sendTo)], strconv.AppendInt(nil, int64(n), 10)); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Errorf("%d of %d requests were handled", next.Load(), many)
	}
	select {
	case why := <-failed:
		t.Error(why)
	default:
	}
	if err := in.close(); err != nil {
		t.Error(err)
	}
}

// startArrivals starts the arrivals of a connection.
func startArrivals(t *testing.T, conn *nats.Conn) *arrivals {
	a := newArrivals(transport.NewConnection(conn, zap.NewNop()))
	go a.run()
	t.Cleanup(a.close)
	return a
}

func offer(to chan string, what string) {
	select {
	case to <- what:
	default:
	}
}

func TestClosedIntakeHandlesDelivered(t *testing.T) {
	conn, _ := embeddedtest.Start(t)
	for _, subjects := range [][]string{{"a"}, {"a", "b"}} {
		const many = maxArrived + 10_000
		var handled atomic.Int64
		first := make(chan struct{})
		in, err := openIntake(startArrivals(t, conn), subjects, func(*nats.Msg) {
			if handled.Add(1) == 1 {
				<-first
			}
		}, zap.NewNop())
		if err != nil {
			t.Fatal(err)
		}
		for n := range many {
			if err := conn.Publish(subjects[n%len(subjects)], nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := conn.Flush(); err != nil {
			t.Fatal(err)
		}
		close(first)
		if err := in.close(); err != nil || handled.Load() != many {
			t.Errorf("%v: %d of %d requests were handled, error %v", subjects, handled.Load(), many, err)
		}
		expectNoSubscriber(t, conn, subjects)
	}
}

func TestQueueDropsWhatItHasNoRoomFor(t *testing.T) {
	for name, room := range map[string]room{"messages": {3, 1 << 20}, "bytes": {1 << 20, 3}} {
		t.Run(name, func(t *testing.T) {
			first := make(chan struct{})
			handled := 0
			q := queue{room: room, total: new(atomic.Int64), handle: func(*nats.Msg) {
				<-first
				handled++
			}}
			dropped := 0
			for range 10 {
				if !q.put(&nats.Msg{Data: []byte("x")}) {
					dropped++
				}
			}
			close(first)
			if err := q.empty(t.Context()); err != nil {
				t.Fatal(err)
			}
			if handled != 3 || dropped != 7 {
				t.Errorf("%d requests were handled and %d dropped, want 3 and 7", handled, dropped)
			}
			if waiting, received := q.backlog(); waiting != 0 || received != weight(3, 3) || q.total.Load() != 0 {
				t.Errorf("%d bytes wait and %d were received, the total is %d; want none, %d and none", waiting, received, q.total.Load(), weight(3, 3))
			}
		})
	}
}

// What a subscription has delivered before it ends is handled, even if nothing has been taken from the
// channel since.
func TestForgottenSubscriptionHasItsRequestsHandled(t *testing.T) {
	conn, _ := embeddedtest.Start(t)
	a := newArrivals(transport.NewConnection(conn, zap.NewNop()))
	handled := make(chan string, 1)
	sub, err := a.subscribe("a", &queue{room: room{1, 1}, total: &a.waiting, handle: func(m *nats.Msg) { handled <- string(m.Data) }})
	if err == nil {
		err = errors.Join(conn.Publish("a", []byte("x")), conn.Flush())
	}
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan struct{})
	forgotten := make(chan struct{})
	go func() {
		close(started)
		a.forget([]*nats.Subscription{sub})
		close(forgotten)
	}()
	<-started
	runtime.Gosched()
	go a.run()
	defer a.close()
	receive(t, forgotten)
	if a.lost() != 0 {
		t.Fatal("the request was dropped")
	}
	if got := receive(t, handled); got != "x" {
		t.Errorf("the request %q was handled", got)
	}
}

// Requests that a closed or forgotten subscription delivers are counted.
func TestArrivalsCountWhatNobodyTakes(t *testing.T) {
	conn, _ := embeddedtest.Start(t)
	a := startArrivals(t, conn)
	a.channel <- &nats.Msg{Sub: &nats.Subscription{Subject: "a"}}
	a.settle()
	if lost := a.lost(); lost != 1 {
		t.Errorf("%d requests are counted as dropped, want 1", lost)
	}
}

func TestPausedIntakeSubscribesAgain(t *testing.T) {
	conn, _ := embeddedtest.Start(t)
	for _, subjects := range [][]string{{"a"}, {"a", "b"}} {
		const many = 1000
		var next atomic.Int64
		failed := make(chan string, 1)
		entered, resume, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
		in, err := openIntake(startArrivals(t, conn), subjects, func(m *nats.Msg) {
			n := next.Add(1)
			if string(m.Data) != strconv.FormatInt(n, 10) {
				offer(failed, fmt.Sprintf("request %s was handled as the %d.", m.Data, n))
			}
			switch n {
			case 1:
				close(entered)
				<-resume
			case 2 * many:
				close(done)
			}
		}, zap.NewNop())
		if err != nil {
			t.Fatal(err)
		}
		send := func(n int64) {
			t.Helper()
			subject := subjects[n%int64(len(subjects))]
			if err := conn.Publish(subject, strconv.AppendInt(nil, n, 10)); err != nil {
				t.Fatal(err)
			}
		}
		for n := range int64(many) {
			send(n + 1)
		}
		<-entered
		if !in.pause() || in.pause() {
			t.Error("the first call of pause begins a pause, and no other")
		}
		expectNoSubscriber(t, conn, subjects)
		close(resume)
		awaitSubscribed(t, in)
		for n := range int64(many) {
			send(many + n + 1)
		}
		select {
		case <-done:
		case <-time.After(time.Minute):
			t.Errorf("%v: %d requests were handled", subjects, next.Load())
		}
		select {
		case why := <-failed:
			t.Error(why)
		default:
		}
		if err := in.close(); err != nil {
			t.Error(err)
		}
	}
}

// expectNoSubscriber checks that the server has no subscription to the subjects. What was sent
// before on the connection has reached it.
func expectNoSubscriber(t *testing.T, conn *nats.Conn, subjects []string) {
	t.Helper()
	for _, subject := range subjects {
		if _, err := conn.Request(subject, nil, time.Minute); !errors.Is(err, nats.ErrNoResponders) {
			t.Errorf("%s: %v, want no responders", subject, err)
		}
	}
}

// awaitSubscribed returns when a pause has ended.
func awaitSubscribed(t *testing.T, in *intake) {
	t.Helper()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); <-ticker.C {
		in.mu.Lock()
		paused := in.paused
		in.mu.Unlock()
		if !paused {
			return
		}
	}
	t.Fatal("the pause has not ended")
}

func TestClosedPausedIntakeHandlesDelivered(t *testing.T) {
	conn, _ := embeddedtest.Start(t)
	for _, subjects := range [][]string{{"a"}, {"a", "b"}} {
		const many = 100
		var handled atomic.Int64
		entered, resume := make(chan struct{}), make(chan struct{})
		in, err := openIntake(startArrivals(t, conn), subjects, func(*nats.Msg) {
			if handled.Add(1) == 1 {
				close(entered)
				<-resume
			}
		}, zap.NewNop())
		if err != nil {
			t.Fatal(err)
		}
		for range many {
			if err := conn.Publish("a", nil); err != nil {
				t.Fatal(err)
			}
		}
		<-entered
		in.pause()
		expectNoSubscriber(t, conn, subjects)
		close(resume)
		if err := in.close(); err != nil || handled.Load() != many {
			t.Errorf("%v: %d of %d requests were handled, error %v", subjects, handled.Load(), many, err)
		}
	}
}
