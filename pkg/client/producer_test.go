package client_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
)

// single makes every record a batch of its own.
const single = 1

// produce makes a producer. An attempt of it times out only if the test says when.
func produce(t testing.TB, c *client.Client, f *frontend, o client.ProducerOptions) *client.Producer {
	t.Helper()
	if o.AttemptTimeout == 0 {
		o.AttemptTimeout = time.Hour
	}
	p, err := c.Producer(bounded(t), f.topic.Name, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		p.Close(ended)
	})
	return p
}

// publish publishes values and returns the future of the last one.
func publish(t testing.TB, p *client.Producer, values ...string) (last client.Future) {
	t.Helper()
	for _, v := range values {
		future, err := p.Publish(bounded(t), client.ProducerRecord{Value: []byte(v)})
		if err != nil {
			t.Fatal(err)
		}
		last = future
	}
	return last
}

// background runs a call that waits and returns where its error will be.
func background(call func() error) <-chan error {
	result := make(chan error, 1)
	go func() { result <- call() }()
	return result
}

// soon is a context that ends while something that must wait is waiting.
func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

func number(t testing.TB, m *nats.Msg, header string) int {
	t.Helper()
	n, err := strconv.Atoi(m.Header.Get(header))
	if err != nil {
		t.Fatalf("header %s: %v in %v", header, err, m.Header)
	}
	return n
}

// sent checks what a batch says of itself and what is in it.
func sent(t testing.TB, m *nats.Msg, sequence, firstUnacked int, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, values(t, m.Data)); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	got := []int{
		number(t, m, protocol.HeaderProducerID), number(t, m, protocol.HeaderProducerEpoch),
		number(t, m, protocol.HeaderSequence), number(t, m, protocol.HeaderFirstUnacked),
	}
	if diff := cmp.Diff([]int{producerID, producerEpoch, sequence, firstUnacked}, got); diff != "" {
		t.Errorf("id, epoch, sequence and first unacked (-want +got):\n%s", diff)
	}
}

func TestRecordsArriveInBatchesInOrder(t *testing.T) {
	c, f := setup(t, 1)
	f.ackAll(0)
	var acks []client.BatchAck
	p := produce(t, c, f, client.ProducerOptions{
		BatchBytes: 1000, Linger: time.Hour, OnAck: func(a client.BatchAck) { acks = append(acks, a) },
	})
	var want []string
	for n := range 5000 {
		want = append(want, fmt.Sprintf("record %d", n))
	}
	publish(t, p, want...)
	if err := p.Close(bounded(t)); err != nil {
		t.Fatal(err)
	}
	var got []string
	for range acks {
		m := next(t, f.produced)
		records := values(t, m.Data)
		sent(t, m, len(got), min(len(got), number(t, m, protocol.HeaderFirstUnacked)), records...)
		if m.Header.Get(protocol.HeaderContentType) != protocol.ContentTypeBatch || m.Header.Get(protocol.HeaderProducer) != "" {
			t.Fatalf("headers %v", m.Header)
		}
		if len(m.Data) > 1000 {
			t.Errorf("a batch has %d bytes", len(m.Data))
		}
		got = append(got, records...)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
	var at int64
	for _, a := range acks {
		if a.FirstRecord != at || a.Offset != at || a.Ticket != 3 || a.Epoch != 5 || a.Duplicate {
			t.Fatalf("ack %+v at record %d", a, at)
		}
		at += int64(a.Records)
	}
	bytes := int64(len(strings.Join(want, "")))
	n := int64(len(acks))
	if diff := cmp.Diff(client.Summary{
		Records: 5000, Bytes: bytes, Batches: n, AckedRecords: 5000, AckedBytes: bytes, AckedBatches: n, FirstUnacked: 5000,
		Offsets: []client.OffsetRange{{Partition: 0, First: 0, Last: 4999}},
	}, p.Summary()); diff != "" {
		t.Error(diff)
	}
}

func TestAFutureTellsWhereItsRecordIs(t *testing.T) {
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

func TestTheZeroFutureIsAnError(t *testing.T) {
	var none client.Future
	next(t, none.Done())
	if ack, err := none.Wait(bounded(t)); err == nil || ack != (client.Ack{}) {
		t.Errorf("%+v, %v", ack, err)
	}
}

func TestRecordsGatherByThemselvesWhileBatchesAreInFlight(t *testing.T) {
	c, f := setup(t, 1)
	f.receive(0)
	p := produce(t, c, f, client.ProducerOptions{MaxInFlight: 1})
	publish(t, p, "a")
	first := next(t, f.produced)
	sent(t, first, 0, 0, "a")
	publish(t, p, "b", "c", "d")
	f.ack(first, 0)
	sent(t, next(t, f.produced), 1, 1, "b", "c", "d")
}

func TestNoMoreBatchesAreInFlightThanThePartitionRecognises(t *testing.T) {
	c, f := setup(t, 1)
	f.receive(0)
	p := produce(t, c, f, client.ProducerOptions{BatchBytes: single, MaxInFlight: 100})
	publish(t, p, "a", "b", "c", "d", "e", "f")
	inFlight := []*nats.Msg{next(t, f.produced)}
	for range 4 {
		inFlight = append(inFlight, next(t, f.produced))
	}
	for n, m := range inFlight[1:] {
		f.ack(m, int64(n)+1)
	}
	if err := p.Flush(soon(t)); !errors.Is(err, context.DeadlineExceeded) || p.Summary().Batches != 5 {
		t.Fatalf("error %v, %+v", err, p.Summary())
	}
	f.ack(inFlight[0], 0)
	sent(t, next(t, f.produced), 5, 5, "f")
}

func TestPublishWaitsForRoomInTheBuffer(t *testing.T) {
	c, f := setup(t, 1)
	f.receive(0)
	p := produce(t, c, f, client.ProducerOptions{BufferBytes: 30, Linger: time.Hour})
	publish(t, p, "a", "b") // of 12 bytes each, which do not linger when there is no room
	_, err := p.Publish(soon(t), client.ProducerRecord{Value: []byte("lost")})
	if !errors.Is(err, context.DeadlineExceeded) || p.Summary().Records != 2 {
		t.Fatalf("published to a full buffer: %v, %+v", err, p.Summary())
	}
	published := background(func() error {
		_, err := p.Publish(bounded(t), client.ProducerRecord{Value: []byte("c")})
		return err
	})
	f.ack(next(t, f.produced), 0)
	if err := next(t, published); err != nil {
		t.Fatal(err)
	}
}

func TestFlushSendsWhatLingers(t *testing.T) {
	c, f := setup(t, 2)
	f.ackAll(0)
	f.ackAll(1)
	p := produce(t, c, f, client.ProducerOptions{Linger: time.Hour})
	publish(t, p, "a")
	if _, err := p.Publish(bounded(t), client.ProducerRecord{Key: "b", Value: []byte("b")}); err != nil {
		t.Fatal(err)
	}
	if len(f.produced) > 0 {
		t.Fatal("sent before its time")
	}
	if err := p.Flush(bounded(t)); err != nil || p.Summary().AckedRecords != 2 {
		t.Errorf("%v, %+v", err, p.Summary())
	}
}

func TestLingerSendsABatchThatIsNotFull(t *testing.T) {
	c, f := setup(t, 1)
	f.ackAll(0)
	p := produce(t, c, f, client.ProducerOptions{Linger: time.Millisecond})
	for _, want := range []string{"a", "b"} {
		publish(t, p, want)
		if got := values(t, next(t, f.produced).Data); got[0] != want {
			t.Errorf("received %q", got)
		}
	}
}

func TestALargeRecordGoesAloneAndATooLargeOneNotAtAll(t *testing.T) {
	c, f := setup(t, 1)
	f.ackAll(0)
	p := produce(t, c, f, client.ProducerOptions{BatchBytes: 1000, Linger: time.Hour})
	large := strings.Repeat("x", f.topic.MaxRecordBytes)
	publish(t, p, "a", large, "b")
	_, err := p.Publish(bounded(t), client.ProducerRecord{Value: []byte(large + "x")})
	if !errors.Is(err, protocol.NewError(protocol.CodeMessageTooLarge, "")) {
		t.Fatalf("error %v", err)
	}
	publish(t, p, "c")
	if err := p.Close(bounded(t)); err != nil {
		t.Fatal(err)
	}
	for _, want := range [][]string{{"a"}, {large}, {"b", "c"}} {
		if got := values(t, next(t, f.produced).Data); !cmp.Equal(got, want) {
			t.Errorf("a batch of %d records, want %d", len(got), len(want))
		}
	}
}

func TestARecordThatLanewayWouldRefuseIsNotTaken(t *testing.T) {
	c, f := setup(t, 1)
	f.topic.MaxRecordBytes = 16 << 20
	p := produce(t, c, f, client.ProducerOptions{})
	many := make([]protocol.Header, protocol.MaxHeaders+1)
	for i := range many {
		many[i] = protocol.Header{Name: "n"}
	}
	for name, c := range map[string]struct {
		record client.ProducerRecord
		code   protocol.Code
	}{
		"larger than NATS carries": {client.ProducerRecord{Value: make([]byte, 9<<20)}, protocol.CodeMaxPayload},
		"too many headers":         {client.ProducerRecord{Headers: many}, protocol.CodeHeadersTooLarge},
		"too large headers":        {client.ProducerRecord{Headers: []protocol.Header{{Name: "n", Value: strings.Repeat("x", 1<<16)}}}, protocol.CodeHeadersTooLarge},
		"a header's name":          {client.ProducerRecord{Headers: []protocol.Header{{Name: "a b"}}}, protocol.CodeHeaderInvalid},
		"a header's value":         {client.ProducerRecord{Headers: []protocol.Header{{Name: "n", Value: "a\nb"}}}, protocol.CodeHeaderInvalid},
		"a header of Laneway":      {client.ProducerRecord{Headers: []protocol.Header{{Name: "laneway-subject"}}}, protocol.CodeHeaderNotSupported},
		"a name NATS cannot carry": {client.ProducerRecord{Headers: []protocol.Header{{Name: "A/B", Value: "v"}}}, protocol.CodeHeaderInvalid},
		"blanks around a value":    {client.ProducerRecord{Headers: []protocol.Header{{Name: "n", Value: " v"}}}, protocol.CodeHeaderInvalid},
		"an offset of its own":     {client.ProducerRecord{Headers: []protocol.Header{{Name: "Laneway-Offset", Value: "9"}}}, protocol.CodeHeaderNotSupported},
	} {
		if _, err := p.Publish(bounded(t), c.record); !errors.Is(err, protocol.NewError(c.code, "")) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if p.Err() != nil || p.Summary().Records != 0 {
		t.Errorf("%v, %+v", p.Err(), p.Summary())
	}
}

func TestBatchesWithoutKeysGoToAllPartitionsInTurn(t *testing.T) {
	c, f := setup(t, 3)
	for n := range 3 {
		f.ackAll(n)
	}
	p := produce(t, c, f, client.ProducerOptions{BatchBytes: single})
	publish(t, p, "0", "1", "2", "3", "4")
	if err := p.Close(bounded(t)); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		m := next(t, f.produced)
		got := values(t, m.Data)[0]
		if want := f.topic.Partition(int(got[0]-'0') % 3).ProduceSubject(); m.Subject != want {
			t.Errorf("record %s went to %s", got, m.Subject)
		}
	}
	if diff := cmp.Diff([]client.OffsetRange{{0, 0, 1}, {1, 0, 1}, {2, 0, 0}}, p.Summary().Offsets); diff != "" {
		t.Error(diff)
	}
}

func TestRecordsOfAKeyStayTogetherInOrderWhoeverPublishesMeanwhile(t *testing.T) {
	const keys, each = 8, 300
	c, f := setup(t, 4)
	for n := range 4 {
		f.ackAll(n)
	}
	p := produce(t, c, f, client.ProducerOptions{BatchRecords: 50})
	var publishers sync.WaitGroup
	for k := range keys {
		publishers.Go(func() {
			for n := range each {
				r := client.ProducerRecord{Key: fmt.Sprint("key ", k), Value: fmt.Appendf(nil, "%d %d", k, n)}
				if _, err := p.Publish(bounded(t), r); err != nil {
					t.Error(err)
				}
			}
		})
	}
	publishers.Wait()
	if err := p.Close(bounded(t)); err != nil {
		t.Fatal(err)
	}
	var came [keys]int
	var subject [keys]string
	for range p.Summary().Batches {
		m := next(t, f.produced)
		for _, v := range values(t, m.Data) {
			var k, n int
			_, _ = fmt.Sscan(v, &k, &n)
			if n != came[k] || subject[k] != "" && subject[k] != m.Subject {
				t.Fatalf("record %d of key %d came on %s, expected was %d on %s", n, k, m.Subject, came[k], subject[k])
			}
			came[k], subject[k] = n+1, m.Subject
		}
	}
}

func TestClosingEndsAProducer(t *testing.T) {
	c, f := setup(t, 1)
	f.receive(0)
	closed := produce(t, c, f, client.ProducerOptions{})
	if err := errors.Join(closed.Close(bounded(t)), closed.Close(bounded(t))); err != nil {
		t.Fatal(err)
	}
	if _, err := closed.Publish(bounded(t), client.ProducerRecord{}); !errors.Is(err, client.ErrClosed) {
		t.Errorf("error %v", err)
	}

	hasty := produce(t, c, f, client.ProducerOptions{})
	future := publish(t, hasty, "a")
	next(t, f.produced)
	for range 2 {
		if err := hasty.Close(soon(t)); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, client.ErrClosed) {
			t.Errorf("error %v", err)
		}
	}
	if _, err := future.Wait(bounded(t)); !errors.Is(err, client.ErrClosed) {
		t.Errorf("error %v", err)
	}

	p := produce(t, c, f, client.ProducerOptions{})
	publish(t, p, "a")
	flushed := background(func() error { return p.Flush(bounded(t)) })
	next(t, f.produced)
	c.Close()
	if err := next(t, flushed); !errors.Is(err, client.ErrClosed) {
		t.Errorf("error %v", err)
	}
	if err := p.Close(bounded(t)); !errors.Is(err, client.ErrClosed) {
		t.Errorf("closed as if everything was acked: %v", err)
	}
}

func TestClosingWakesWhoeverWaitsForRoom(t *testing.T) {
	c, f := setup(t, 1)
	f.receive(0)
	p := produce(t, c, f, client.ProducerOptions{BufferBytes: 1})
	publish(t, p, "a")
	waiting := background(func() error {
		_, err := p.Publish(bounded(t), client.ProducerRecord{})
		return err
	})
	next(t, f.produced)
	p.Close(soon(t))
	if err := next(t, waiting); !errors.Is(err, client.ErrClosed) {
		t.Errorf("error %v", err)
	}
}

func TestAClosedClientDoesNothing(t *testing.T) {
	owner, f := setup(t, 2)
	for name, c := range map[string]*client.Client{"its own connection": owner, "the caller's": client.New(f.conn)} {
		p := produce(t, c, f, client.ProducerOptions{})
		c.Close()
		if err := p.Close(bounded(t)); err != nil && !errors.Is(err, client.ErrClosed) {
			t.Error(err)
		}
		_, published := p.Publish(bounded(t), client.ProducerRecord{})
		_, produced := c.Producer(bounded(t), f.topic.Name, client.ProducerOptions{})
		_, listed := c.Admin().ListTopics(bounded(t))
		errs := map[string]error{"publish": published, "producer": produced, "list": listed, "delete": c.Admin().DeleteTopic(bounded(t), "x")}
		for what, partition := range map[string]*int32{"one partition": new(int32(0)), "all partitions": nil} {
			for _, err := range c.Consumer(client.ConsumerOptions{Topic: f.topic.Name, Partition: partition}).Records(bounded(t)) {
				errs[what] = err
			}
		}
		for what, err := range errs {
			if !errors.Is(err, client.ErrClosed) {
				t.Errorf("%s, %s: %v", name, what, err)
			}
		}
		if len(errs) != 6 {
			t.Errorf("%s: %v", name, errs)
		}
	}
}

func TestAConnectionOfTheCallerStaysOpen(t *testing.T) {
	_, f := setup(t, 1)
	c := client.New(f.conn)
	c.Close()
	c.Close()
	if c.Conn() != f.conn || f.conn.IsClosed() {
		t.Error("the connection was closed")
	}
}
