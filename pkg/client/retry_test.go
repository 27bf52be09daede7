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

func TestARefusalThatPassesIsNoFailure(t *testing.T) {
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
		t.Errorf("told of %s, want %s", got, want)
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

func TestABatchWithoutAnAnswerIsSentAgainAndMayBeThereAlready(t *testing.T) {
	c, f := setup(t, 1)
	f.receive(0)
	p := produce(t, c, f, client.ProducerOptions{AttemptTimeout: 50 * time.Millisecond})
	future := publish(t, p, "a")
	first, second := next(t, f.produced), next(t, f.produced)
	if first.Reply == second.Reply {
		t.Error("the answers cannot be told apart")
	}
	sent(t, second, 0, 0, "a")
	f.accept(second, 7, true)
	ack, err := future.Wait(bounded(t))
	if err != nil || !ack.Duplicate || ack.Offset != 7 || p.Summary().Duplicates != 1 {
		t.Errorf("%+v, %v, %+v", ack, err, p.Summary())
	}
}

func TestALateOKOfAnEarlierAttemptCounts(t *testing.T) {
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

func TestABatchThatNobodyReceivesWaitsForSomebody(t *testing.T) {
	c, f := setup(t, 1)
	p := produce(t, c, f, client.ProducerOptions{BatchBytes: single})
	publish(t, p, "a", "b")
	if err := p.Flush(soon(t)); err == nil {
		t.Fatal("acked by nobody")
	}
	// An attempt of b may be under way that comes before the next one of a.
	f.ackFrom(0, func(m *nats.Msg) bool { return number(t, m, protocol.HeaderSequence) == 0 })
	if err := p.Flush(bounded(t)); err != nil {
		t.Fatal(err)
	}
	sent(t, next(t, f.produced), 0, 0, "a")
}

func TestALostConnectionLosesWhatIsInFlight(t *testing.T) {
	c, f := setup(t, 1)
	f.receive(0)
	p := produce(t, c, f, client.ProducerOptions{AttemptTimeout: time.Hour})
	publish(t, p, "a")
	next(t, f.produced)
	if err := c.Conn().ForceReconnect(); err != nil {
		t.Fatal(err)
	}
	again := next(t, f.produced)
	sent(t, again, 0, 0, "a")
	f.ack(again, 0)
	if err := p.Close(bounded(t)); err != nil {
		t.Fatal(err)
	}
}

func TestAConnectionThatIsClosedEndsTheProducer(t *testing.T) {
	_, f := setup(t, 1)
	f.receive(0)
	conn := connect(t)
	p := produce(t, client.New(conn), f, client.ProducerOptions{})
	future := publish(t, p, "a")
	next(t, f.produced)
	conn.Close()
	if _, err := future.Wait(bounded(t)); !errors.Is(err, client.ErrClosed) {
		t.Errorf("error %v", err)
	}
}

func TestAFatalErrorFailsAllThatIsNotAcked(t *testing.T) {
	c, f := setup(t, 1)
	f.receive(0)
	p := produce(t, c, f, client.ProducerOptions{BatchBytes: single})
	futures := []client.Future{publish(t, p, "a"), publish(t, p, "b"), publish(t, p, "c"), publish(t, p, "d")}
	f.ack(next(t, f.produced), 0)
	fenced := next(t, f.produced)
	f.ack(next(t, f.produced), 2)
	if _, err := futures[0].Wait(bounded(t)); err != nil {
		t.Fatal(err)
	}
	f.refuse(fenced, protocol.NewError(protocol.CodeInvalidEpoch, ""))
	_, err := futures[1].Wait(bounded(t))
	failed, ok := errors.AsType[*client.ProduceError](err)
	if !ok || failed.FirstFailed != 1 || failed.Records != 2 || failed.Topic != f.topic.Name ||
		failed.Err.Code != protocol.CodeInvalidEpoch || !errors.Is(err, protocol.NewError(protocol.CodeInvalidEpoch, "")) {
		t.Fatalf("error %v", err)
	}
	if ack, err := futures[2].Wait(bounded(t)); err != nil || ack.Offset != 2 {
		t.Errorf("what is acked behind the failure: %+v, %v", ack, err)
	}
	_, later := futures[3].Wait(bounded(t))
	_, refused := p.Publish(bounded(t), client.ProducerRecord{})
	for _, again := range []error{later, refused, p.Flush(bounded(t)), p.Close(bounded(t)), p.Err()} {
		if !errors.Is(again, failed) {
			t.Errorf("afterwards: %v", again)
		}
	}
	if s := p.Summary(); s.AckedRecords != 2 || s.Records != 4 || s.FirstUnacked != 1 {
		t.Errorf("summary %+v", s)
	}
}

func TestAFailureOfOnePartitionFailsTheProducer(t *testing.T) {
	c, f := setup(t, 2)
	f.receive(0)
	f.receive(1)
	p := produce(t, c, f, client.ProducerOptions{BatchBytes: single})
	publish(t, p, "0", "1", "2")
	for range 3 {
		if m := next(t, f.produced); values(t, m.Data)[0] == "1" {
			f.refuse(m, protocol.NewError(protocol.CodeInternal, ""))
		}
	}
	failed, ok := errors.AsType[*client.ProduceError](p.Flush(bounded(t)))
	if !ok || failed.Partition != 1 || failed.FirstFailed != 0 || failed.Records != 3 {
		t.Errorf("%+v", failed)
	}
}

// betweenAttempts lets producers fail, one after the other, until one does so while
// no attempt is under way, and returns its error. Otherwise nobody knows whether the
// attempt has arrived, which is another story.
func betweenAttempts(t *testing.T, fail func() error) *client.ProduceError {
	t.Helper()
	for late := bounded(t); ; {
		err := fail()
		failed, ok := errors.AsType[*client.ProduceError](err)
		if !ok || late.Err() != nil {
			t.Fatalf("error %v", err)
		}
		if failed.Absent {
			return failed
		}
	}
}

func TestAfterTheDeliveryTimeoutTheProducerFailsAndSaysWhatItWasRefusedFor(t *testing.T) {
	c, f := setup(t, 2)
	f.subscribe(f.topic.Partition(0).ProduceSubject(), func(m *nats.Msg) {
		f.refuse(m, protocol.NewError(protocol.CodeStoreUnavailable, "full"))
	})
	failed := betweenAttempts(t, func() error {
		p := produce(t, c, f, client.ProducerOptions{
			DeliveryTimeout: 50 * time.Millisecond, Partition: new(int32(0)), Linger: time.Hour, // until both are there
		})
		publish(t, p, "a", "b")
		return p.Flush(bounded(t))
	})
	if failed.Err.Code != protocol.CodeStoreUnavailable || !strings.HasPrefix(failed.Err.Detail, "given up after 50ms, in ") ||
		!strings.HasSuffix(failed.Err.Detail, ": full") || !failed.Absent {
		t.Fatalf("error %v", failed)
	}
	if want := "; no record is in the log for sure, 2 are not in the log"; !strings.HasSuffix(failed.Error(), want) {
		t.Errorf("error %v", failed)
	}
}

func TestWhatMayBeInTheLogOfAnotherPartitionIsNotSaidToBeAbsent(t *testing.T) {
	c, f := setup(t, 2)
	f.receive(0)
	f.receive(1)
	p := produce(t, c, f, client.ProducerOptions{BatchBytes: single})
	publish(t, p, "0", "1")
	for range 2 {
		if m := next(t, f.produced); values(t, m.Data)[0] == "1" {
			f.refuse(m, protocol.NewError(protocol.CodeMessageTooLarge, ""))
		}
	}
	failed, ok := errors.AsType[*client.ProduceError](p.Flush(bounded(t)))
	if !ok || failed.Partition != 1 || failed.Absent || !strings.HasSuffix(failed.Error(), "; no record is in the log for sure, 2 are not acknowledged") {
		t.Errorf("%+v", failed)
	}
}

func TestAProduceErrorCountsAsPeopleDo(t *testing.T) {
	busy := protocol.NewError(protocol.CodeOverloaded, "")
	for want, err := range map[string]client.ProduceError{
		"the first record is in the log, 1 is not acknowledged":       {FirstFailed: 1, Records: 1},
		"the first 12 records are in the log, 3 are not in the log":   {FirstFailed: 12, Records: 3, Absent: true},
		"no record is in the log for sure, 1200 are not acknowledged": {Records: 1200},
	} {
		err.Topic, err.Partition, err.Err = "orders", 2, busy
		if want = "orders/2: " + busy.Error() + "; " + want; err.Error() != want {
			t.Errorf("got %q, want %q", err.Error(), want)
		}
	}
}

func TestAnAttemptThatIsNotAnsweredMayBeInTheLog(t *testing.T) {
	c, f := setup(t, 1)
	f.receive(0)
	p := produce(t, c, f, client.ProducerOptions{DeliveryTimeout: 50 * time.Millisecond})
	publish(t, p, "a")
	failed, ok := errors.AsType[*client.ProduceError](p.Flush(bounded(t)))
	if !ok || failed.Err.Code != protocol.CodeOutcomeUnknown || failed.Absent {
		t.Errorf("%+v", failed)
	}
}

func TestAnAnswerThatMakesNoSenseFailsTheProducer(t *testing.T) {
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

func TestAnswersToNothingAreIgnored(t *testing.T) {
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
