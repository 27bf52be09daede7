package client_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
)

func TestRetriesTemporaryRefusal(t *testing.T) {
	c, f := setup(t, 1)
	f.receive(0)
	retries := make(chan string, 9)
	p := produce(t, c, f, client.ProducerOptions{BatchBytes: single, OnRetry: func(partition int32, err *protocol.Error) {
		retries <- fmt.Sprint(partition, " ", err)
	}})
	publish(t, p, "a", "b", "c")
	f.ack(next(t, f.produced), 0)
	f.refuse(next(t, f.produced), protocol.NewError(protocol.CodeOverloaded, "busy"))
	f.refuse(next(t, f.produced), protocol.NewError(protocol.CodeOutOfOrderSequence, ""))
	flushed := background(func() error { return p.Flush(bounded(t)) })
	second, third := next(t, f.produced), next(t, f.produced)
	if got, want := next(t, retries), "0 "+protocol.NewError(protocol.CodeOverloaded, "busy").Error(); got != want {
		t.Errorf("OnRetry got %s, want %s", got, want)
	}
	sent(t, second, 1, 1, "b")
	sent(t, third, 2, 1, "c")
	f.ack(third, 2)
	f.ack(second, 1)
	if err := next(t, flushed); err != nil {
		t.Fatal(err)
	}
	if s := p.Summary(); s.Batches != 3 || s.Retries != 2 || s.Duplicates != 0 || s.FirstUnacked != 3 || len(retries) > 0 {
		t.Errorf("summary %+v", s)
	}
}

func TestResendsUnansweredBatch(t *testing.T) {
	c, f := setup(t, 1)
	f.receive(0)
	p := produce(t, c, f, client.ProducerOptions{AttemptTimeout: 50 * time.Millisecond})
	future := publish(t, p, "a")
	first, second := next(t, f.produced), next(t, f.produced)
	if first.Reply == second.Reply {
		t.Error("two attempts have the same reply subject")
	}
	sent(t, second, 0, 0, "a")
	f.accept(second, 7, true)
	ack, err := future.Wait(bounded(t))
	if err != nil || !ack.Duplicate || ack.Offset != 7 || p.Summary().Duplicates != 1 {
		t.Errorf("%+v, %v, %+v", ack, err, p.Summary())
	}
}

func TestLateOKCounts(t *testing.T) {
	c, f := setup(t, 1)
	f.receive(0)
	p := produce(t, c, f, client.ProducerOptions{AttemptTimeout: 50 * time.Millisecond})
	future := publish(t, p, "a")
	first := next(t, f.produced)
	f.refuse(next(t, f.produced), protocol.NewError(protocol.CodeUnavailable, ""))
	f.ack(first, 4)
	if ack, err := future.Wait(bounded(t)); err != nil || ack.Offset != 4 {
		t.Errorf("%+v, %v", ack, err)
	}
}

func TestUnservedBatchIsRetried(t *testing.T) {
	c, f := setup(t, 1)
	p := produce(t, c, f, client.ProducerOptions{BatchBytes: single})
	publish(t, p, "a", "b")
	if err := p.Flush(soon(t)); err == nil {
		t.Fatal("acknowledged without a frontend")
	}
	// An attempt of b may be in flight and arrive before the next one of a.
	f.ackFrom(0, func(m *nats.Msg) bool { return number(t, m, protocol.HeaderSequence) == 0 })
	if err := p.Flush(bounded(t)); err != nil {
		t.Fatal(err)
	}
	sent(t, next(t, f.produced), 0, 0, "a")
}

func TestInvalidAnswerFailsProducer(t *testing.T) {
	for name, answer := range map[string]string{
		"not JSON": "+OK", "another service": "{}", "records": `{"stream":"S","seq":1,"records":2}`,
	} {
		t.Run(name, func(t *testing.T) {
			c, f := setup(t, 1)
			f.receive(0)
			p := produce(t, c, f, client.ProducerOptions{})
			publish(t, p, "a")
			flushed := background(func() error { return p.Flush(bounded(t)) })
			respond(next(t, f.produced), []byte(answer))
			if err := next(t, flushed); !errors.Is(err, protocol.NewError(protocol.CodeInternal, "")) {
				t.Fatalf("error %v", err)
			}
		})
	}
}

func TestUnknownAnswersAreIgnored(t *testing.T) {
	c, f := setup(t, 1)
	f.receive(0)
	p := produce(t, c, f, client.ProducerOptions{})
	future := publish(t, p, "a")
	m := next(t, f.produced)
	inbox := strings.TrimSuffix(m.Reply, "0.0.0")
	for _, strange := range []string{"0", "1.0.0", "-1.0.0", "0.1.0", "0.0.1", "0.0.x", "x.0.0", "0.0.0.0"} {
		if err := f.conn.Publish(inbox+strange, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	f.ack(m, 0)
	if _, err := future.Wait(bounded(t)); err != nil {
		t.Error(err)
	}
}
