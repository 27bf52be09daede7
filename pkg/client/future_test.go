package client_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
)

func TestFutureReportsOffset(t *testing.T) {
	c, f := setup(t, 1)
	f.receive(0)
	p := produce(t, c, f, client.ProducerOptions{Linger: time.Hour, BatchRecords: 3})
	var futures []client.Future
	for _, v := range []string{"a", "b", "c"} {
		futures = append(futures, publish(t, p, v))
	}
	m := next(t, f.produced)
	if _, err := futures[0].Wait(soon(t)); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("error %v", err)
	}
	f.ack(m, 70)
	for i, future := range futures {
		next(t, future.Done())
		ack, err := future.Wait(bounded(t))
		if want := (client.Ack{Offset: 70 + int64(i), Ticket: 3, Epoch: 5}); err != nil || ack != want {
			t.Errorf("%+v, %v, want %+v", ack, err, want)
		}
	}
}

func TestZeroFutureIsAnError(t *testing.T) {
	var none client.Future
	next(t, none.Done())
	if ack, err := none.Wait(bounded(t)); err == nil || ack != (client.Ack{}) {
		t.Errorf("%+v, %v", ack, err)
	}
}

func TestFatalErrorFailsAllUnacked(t *testing.T) {
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
		t.Errorf("acknowledged after the failed batch: %+v, %v", ack, err)
	}
	_, later := futures[3].Wait(bounded(t))
	_, refused := p.Publish(bounded(t), client.ProducerRecord{})
	for _, again := range []error{later, refused, p.Flush(bounded(t)), p.Close(bounded(t)), p.Err()} {
		if !errors.Is(again, failed) {
			t.Errorf("after the failure: %v", again)
		}
	}
	if s := p.Summary(); s.AckedRecords != 2 || s.Records != 4 || s.FirstUnacked != 1 {
		t.Errorf("summary %+v", s)
	}
}

func TestFailedPartitionFailsProducer(t *testing.T) {
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

// betweenAttempts repeats fail until a producer fails while no attempt is in flight, and
// returns that error. With an attempt in flight, the error would be another one.
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

func TestDeliveryTimeoutReportsLastRefusal(t *testing.T) {
	c, f := setup(t, 2)
	f.subscribe(f.topic.Partition(0).ProduceSubject(), func(m *nats.Msg) {
		f.refuse(m, protocol.NewError(protocol.CodeStoreUnavailable, "full"))
	})
	failed := betweenAttempts(t, func() error {
		p := produce(t, c, f, client.ProducerOptions{
			DeliveryTimeout: 50 * time.Millisecond, Partition: new(int32(0)), Linger: time.Hour, // until both are published
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

func TestUnansweredPartitionIsNotAbsent(t *testing.T) {
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

func TestProduceErrorText(t *testing.T) {
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

func TestUnansweredAttemptIsNotAbsent(t *testing.T) {
	c, f := setup(t, 1)
	f.receive(0)
	p := produce(t, c, f, client.ProducerOptions{DeliveryTimeout: 50 * time.Millisecond})
	publish(t, p, "a")
	failed, ok := errors.AsType[*client.ProduceError](p.Flush(bounded(t)))
	if !ok || failed.Err.Code != protocol.CodeOutcomeUnknown || failed.Absent {
		t.Errorf("%+v", failed)
	}
}
