package frontend

import (
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"laneway.dev/internal/embedded/embeddedtest"
)

func TestRequestsOnSeveralSubjectsAreHandledOneByOneInTheOrderTheyArrived(t *testing.T) {
	conn, _ := embeddedtest.Start(t)
	subjects := []string{"laneway.produce.orders.0", "orders.>", "returns.*", "complaints"}
	sendTo := []string{"laneway.produce.orders.0", "orders.eu.new", "returns.eu", "complaints", "orders.us"}
	const many = 20_000
	var next, busy atomic.Int64
	failed, done := make(chan string, 1), make(chan struct{})
	in, err := openIntake(conn, subjects, func(m *nats.Msg) {
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

func offer(to chan string, what string) {
	select {
	case to <- what:
	default:
	}
}

func TestAnIntakeThatClosesHandlesWhatWasDelivered(t *testing.T) {
	conn, _ := embeddedtest.Start(t)
	for _, subjects := range [][]string{{"a"}, {"a", "b"}} {
		const many = maxArrived + 10_000
		var handled atomic.Int64
		first := make(chan struct{})
		in, err := openIntake(conn, subjects, func(*nats.Msg) {
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
		// Nobody is subscribed any more.
		for _, subject := range subjects {
			if _, err := conn.Request(subject, nil, time.Minute); !errors.Is(err, nats.ErrNoResponders) {
				t.Errorf("%s: %v, want no responders", subject, err)
			}
		}
	}
}

func TestACollectorDropsWhatItHasNoRoomFor(t *testing.T) {
	for name, room := range map[string]room{"messages": {3, 1 << 20}, "bytes": {1 << 20, 3}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				first := make(chan struct{})
				handled := 0
				c := collect(func(*nats.Msg) {
					<-first
					handled++
				}, zap.NewNop(), room)
				for range 10 {
					c.arrived <- &nats.Msg{Data: []byte("x")}
					synctest.Wait()
				}
				close(first)
				c.close()
				if handled != 4 { // one was being handled, three were gathered
					t.Errorf("%d requests were handled, want 4", handled)
				}
			})
		})
	}
}
