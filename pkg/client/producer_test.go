package client_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"laneway.dev/pkg/client"
	"laneway.dev/pkg/messages"
)

// single makes every record a batch of its own.
const single = 1

func produce(t testing.TB, c *client.Client, f *frontend, o client.ProducerOptions) *client.Producer {
	t.Helper()
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

func add(t testing.TB, p *client.Producer, values ...string) {
	t.Helper()
	for _, v := range values {
		if err := p.Append(bounded(t), messages.Record{Value: []byte(v)}); err != nil {
			t.Fatal(err)
		}
	}
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

func TestRecordsArriveInBatchesInOrder(t *testing.T) {
	c, f := setup(t, 1)
	f.ackAll(0)
	var acks []client.Ack
	p := produce(t, c, f, client.ProducerOptions{BatchBytes: 1000, OnAck: func(a client.Ack) { acks = append(acks, a) }})
	var want []string
	for n := range 5000 {
		want = append(want, fmt.Sprintf("record %d", n))
	}
	add(t, p, want...)
	if err := p.Close(bounded(t)); err != nil {
		t.Fatal(err)
	}
	var got []string
	var lane string
	for range acks {
		m := next(t, f.produced)
		if lane == "" {
			lane = m.Header.Get(messages.HeaderProducer)
		}
		if m.Header.Get(messages.HeaderProducer) != lane || lane == "" || m.Header.Get(messages.HeaderContentType) != messages.ContentTypeBatch {
			t.Fatalf("headers %v", m.Header)
		}
		if len(m.Data) > 1000 {
			t.Errorf("a batch has %d bytes", len(m.Data))
		}
		got = append(got, values(t, m.Data)...)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
	var at int64
	for _, a := range acks {
		if a.FirstRecord != at || a.Offset != at || a.Ticket != 3 || a.Epoch != 5 {
			t.Fatalf("ack %+v at record %d", a, at)
		}
		at += int64(a.Records)
	}
	bytes := int64(len(strings.Join(want, "")))
	n := int64(len(acks))
	if diff := cmp.Diff(client.Summary{
		Records: 5000, Bytes: bytes, Batches: n, AckedRecords: 5000, AckedBytes: bytes, AckedBatches: n,
		Offsets: []client.OffsetRange{{Partition: 0, First: 0, Last: 4999}},
	}, p.Summary()); diff != "" {
		t.Error(diff)
	}
}

func TestANewProducerHasSeveralBatchesInFlightBeforeTheFirstAck(t *testing.T) {
	c, f := setup(t, 1)
	f.receive(0)
	p := produce(t, c, f, client.ProducerOptions{BatchBytes: single})
	add(t, p, "a", "b")
	flushed := background(func() error { return p.Flush(bounded(t)) })
	first, second := next(t, f.produced), next(t, f.produced)
	f.ack(first, 0)
	f.ack(second, 1)
	if err := next(t, flushed); err != nil {
		t.Fatal(err)
	}
}

func TestAppendWaitsForRoomInTheWindow(t *testing.T) {
	for name, o := range map[string]client.ProducerOptions{
		"batches": {BatchBytes: single, MaxInFlight: 2},
		"bytes":   {BatchBytes: single, MaxInFlightBytes: 20},
	} {
		t.Run(name, func(t *testing.T) {
			c, f := setup(t, 1)
			f.receive(0)
			p := produce(t, c, f, o)
			add(t, p, "a", "b", "c") // c waits in the current batch
			first := next(t, f.produced)
			next(t, f.produced)
			err := p.Append(soon(t), messages.Record{Value: []byte("lost")})
			if !errors.Is(err, context.DeadlineExceeded) || p.Summary().Records != 3 {
				t.Fatalf("appended to a full window: %v, %+v", err, p.Summary())
			}
			f.ack(first, 0)
			add(t, p, "d")
			if got := values(t, next(t, f.produced).Data); got[0] != "c" {
				t.Errorf("sent %q", got)
			}
		})
	}
}

func TestTheFirstFailedBatchEndsTheProducer(t *testing.T) {
	c, f := setup(t, 1)
	f.receive(0)
	p := produce(t, c, f, client.ProducerOptions{BatchBytes: single})
	add(t, p, "a", "b", "c", "d")
	f.ack(next(t, f.produced), 0)
	f.refuse(next(t, f.produced), messages.NewError(messages.CodeStoreUnavailable, "full"))
	f.ack(next(t, f.produced), 1)

	err := p.Flush(bounded(t))
	failed, ok := errors.AsType[*client.ProduceError](err)
	if !ok || failed.FirstFailed != 1 || failed.Records != 1 || failed.Topic != f.topic.Name {
		t.Fatalf("error %v", err)
	}
	if !errors.Is(err, messages.NewError(messages.CodeStoreUnavailable, "")) {
		t.Errorf("error %v", err)
	}
	if s := p.Summary(); s.AckedRecords != 1 || s.Records != 4 {
		t.Errorf("summary %+v", s)
	}
	for _, again := range []error{p.Append(bounded(t), messages.Record{}), p.Flush(bounded(t)), p.Close(bounded(t)), p.Err()} {
		if !errors.Is(again, failed) {
			t.Errorf("afterwards: %v", again)
		}
	}
}

func TestAFailureIsToldWhenAllEarlierBatchesAreSettled(t *testing.T) {
	c, f := setup(t, 1)
	f.receive(0)
	acks := make(chan client.Ack, 4)
	p := produce(t, c, f, client.ProducerOptions{
		BatchBytes: single, MaxInFlight: 3, OnAck: func(a client.Ack) { acks <- a },
	})
	add(t, p, "a", "b", "c", "d")
	first, second, third := next(t, f.produced), next(t, f.produced), next(t, f.produced)
	flushed := background(func() error { return p.Flush(bounded(t)) })
	f.refuse(third, messages.NewError(messages.CodeFailed, ""))
	f.ack(first, 0)
	next(t, acks)
	if err := p.Err(); err != nil {
		t.Errorf("failed with a batch before it in flight: %v", err)
	}
	f.ack(second, 1)
	failed, ok := errors.AsType[*client.ProduceError](next(t, flushed))
	if !ok || failed.FirstFailed != 2 || p.Summary().AckedRecords != 2 {
		t.Fatalf("%v, %+v", failed, p.Summary())
	}
	if n := p.Summary().Batches; n != 3 {
		t.Errorf("%d batches were sent, the last behind a failure", n)
	}
}

func TestAcksCountInTheOrderOfSending(t *testing.T) {
	c, f := setup(t, 1)
	f.receive(0)
	acks := make(chan client.Ack, 2)
	p := produce(t, c, f, client.ProducerOptions{BatchBytes: single, OnAck: func(a client.Ack) { acks <- a }})
	add(t, p, "a", "b")
	flushed := background(func() error { return p.Flush(bounded(t)) })
	first, second := next(t, f.produced), next(t, f.produced)
	f.ack(second, 1)
	f.ack(first, 0)
	if a, b := next(t, acks), next(t, acks); a.FirstRecord != 0 || b.FirstRecord != 1 {
		t.Errorf("acks %+v, %+v", a, b)
	}
	if err := next(t, flushed); err != nil {
		t.Error(err)
	}
}

func TestTheStartIsSentAgainUntilSomebodyReceives(t *testing.T) {
	c, f := setup(t, 1)
	p := produce(t, c, f, client.ProducerOptions{BatchBytes: single})
	add(t, p, "a", "b")
	// b must not be sent before a is received.
	if err := p.Append(soon(t), messages.Record{Value: []byte("lost")}); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("error %v", err)
	}
	f.ackAll(0)
	if err := p.Flush(bounded(t)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"a", "b"} {
		if got := values(t, next(t, f.produced).Data); got[0] != want {
			t.Errorf("received %q, want %s", got, want)
		}
	}
	if len(f.produced) > 0 {
		t.Error("a batch was received twice")
	}
}

func TestAStartThatNobodyReceivesFails(t *testing.T) {
	c, f := setup(t, 1)
	p := produce(t, c, f, client.ProducerOptions{StartTimeout: 50 * time.Millisecond})
	add(t, p, "a")
	err := p.Flush(bounded(t))
	failed, ok := errors.AsType[*client.ProduceError](err)
	if !ok || failed.FirstFailed != 0 || !errors.Is(err, nats.ErrNoResponders) {
		t.Fatalf("error %v", err)
	}
}

func TestALaterBatchThatNobodyReceivesFailsAtOnce(t *testing.T) {
	c, f := setup(t, 1)
	leave := f.receive(0)
	p := produce(t, c, f, client.ProducerOptions{BatchBytes: single, StartTimeout: time.Hour})
	add(t, p, "a")
	flushed := background(func() error { return p.Flush(bounded(t)) })
	f.ack(next(t, f.produced), 0)
	if err := next(t, flushed); err != nil {
		t.Fatal(err)
	}
	leave()
	add(t, p, "b")
	err := p.Flush(bounded(t))
	failed, ok := errors.AsType[*client.ProduceError](err)
	if !ok || failed.FirstFailed != 1 || !errors.Is(err, nats.ErrNoResponders) {
		t.Fatalf("error %v", err)
	}
}

func TestABatchWithoutAnAnswerFailsAsUnknown(t *testing.T) {
	c, f := setup(t, 1)
	f.receive(0)
	p := produce(t, c, f, client.ProducerOptions{Timeout: 50 * time.Millisecond})
	add(t, p, "a")
	if err := p.Flush(bounded(t)); !errors.Is(err, messages.NewError(messages.CodeOutcomeUnknown, "")) {
		t.Fatalf("error %v", err)
	}
}

func TestAnAnswerThatMakesNoSenseFailsTheBatch(t *testing.T) {
	for name, answer := range map[string]string{
		"not JSON": "+OK", "another service": "{}", "records": `{"stream":"S","seq":1,"records":2}`,
	} {
		t.Run(name, func(t *testing.T) {
			c, f := setup(t, 1)
			f.receive(0)
			p := produce(t, c, f, client.ProducerOptions{})
			add(t, p, "a")
			flushed := background(func() error { return p.Flush(bounded(t)) })
			respond(next(t, f.produced), []byte(answer))
			if err := next(t, flushed); !errors.Is(err, messages.NewError(messages.CodeInternal, "")) {
				t.Fatalf("error %v", err)
			}
		})
	}
}

func TestALargeRecordGoesAloneAndATooLargeOneNotAtAll(t *testing.T) {
	c, f := setup(t, 1)
	f.ackAll(0)
	p := produce(t, c, f, client.ProducerOptions{BatchBytes: 1000})
	large := strings.Repeat("x", f.topic.MaxRecordBytes)
	add(t, p, "a", large, "b")
	err := p.Append(bounded(t), messages.Record{Value: []byte(large + "x")})
	if !errors.Is(err, messages.NewError(messages.CodeMessageTooLarge, "")) {
		t.Fatalf("error %v", err)
	}
	add(t, p, "c")
	if err := p.Close(bounded(t)); err != nil {
		t.Fatal(err)
	}
	for _, want := range [][]string{{"a"}, {large}, {"b", "c"}} {
		if got := values(t, next(t, f.produced).Data); !cmp.Equal(got, want) {
			t.Errorf("a batch of %d records, want %d", len(got), len(want))
		}
	}
}

func TestABatchThatCannotBeSentFailsAtOnce(t *testing.T) {
	for name, before := range map[string][]string{"the first": nil, "a later one": {"a"}} {
		t.Run(name, func(t *testing.T) {
			c, f := setup(t, 1)
			f.topic.MaxRecordBytes = 16 << 20
			f.ackAll(0)
			p := produce(t, c, f, client.ProducerOptions{BatchBytes: single, StartTimeout: time.Hour})
			add(t, p, before...)
			add(t, p, strings.Repeat("x", 9<<20))
			err := p.Flush(bounded(t))
			failed, ok := errors.AsType[*client.ProduceError](err)
			if !ok || failed.FirstFailed != int64(len(before)) || !errors.Is(err, nats.ErrMaxPayload) {
				t.Fatalf("error %v", err)
			}
		})
	}
}

func TestLingerSendsABatchThatIsNotFull(t *testing.T) {
	c, f := setup(t, 1)
	f.ackAll(0)
	p := produce(t, c, f, client.ProducerOptions{Linger: time.Millisecond})
	for _, want := range []string{"a", "b"} {
		add(t, p, want)
		if got := values(t, next(t, f.produced).Data); got[0] != want {
			t.Errorf("received %q", got)
		}
	}
}

func TestBatchesGoToAllPartitionsInTurn(t *testing.T) {
	c, f := setup(t, 3)
	for n := range 3 {
		f.ackAll(n)
	}
	p := produce(t, c, f, client.ProducerOptions{BatchBytes: single})
	add(t, p, "0", "1", "2", "3", "4")
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

func TestAProducerNeedsATopicAndAPartitionOfIt(t *testing.T) {
	c, f := setup(t, 2)
	unknown := messages.NewError(messages.CodeUnknownTopic, "")
	if _, err := c.Producer(bounded(t), "nothing", client.ProducerOptions{}); !errors.Is(err, unknown) {
		t.Errorf("error %v", err)
	}
	for _, n := range []int32{-1, 2} {
		if _, err := c.Producer(bounded(t), f.topic.Name, client.ProducerOptions{Partition: &n}); !errors.Is(err, unknown) {
			t.Errorf("error %v", err)
		}
	}
}

func TestTheSendSpanIsAChildAndTravelsInLowerCase(t *testing.T) {
	c, f := setup(t, 1)
	f.ackAll(0)
	recorder := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	defer provider.Shutdown(context.Background())
	p := produce(t, c, f, client.ProducerOptions{TracerProvider: provider})
	ctx, parent := provider.Tracer("test").Start(bounded(t), "parent")
	if err := p.Append(ctx, messages.Record{Value: []byte("a")}); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(ctx); err != nil {
		t.Fatal(err)
	}
	spans := recorder.Ended()
	if len(spans) != 1 || spans[0].Name() != "send" || spans[0].Parent().SpanID() != parent.SpanContext().SpanID() {
		t.Fatalf("spans %v", spans)
	}
	carrier := propagation.MapCarrier{"traceparent": strings.Join(next(t, f.produced).Header["traceparent"], "")}
	sent := trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), carrier))
	if sent.SpanID() != spans[0].SpanContext().SpanID() || sent.TraceID() != parent.SpanContext().TraceID() {
		t.Errorf("sent %v", carrier)
	}
}

func TestWithoutATracerThereIsNoTraceHeader(t *testing.T) {
	c, f := setup(t, 1)
	f.ackAll(0)
	p := produce(t, c, f, client.ProducerOptions{})
	add(t, p, "a")
	if err := p.Flush(bounded(t)); err != nil {
		t.Fatal(err)
	}
	if h := next(t, f.produced).Header; len(h) != 2 {
		t.Errorf("headers %v", h)
	}
}

func TestClosingEndsAProducer(t *testing.T) {
	c, f := setup(t, 1)
	f.receive(0)
	closed := produce(t, c, f, client.ProducerOptions{})
	if err := errors.Join(closed.Close(bounded(t)), closed.Close(bounded(t))); err != nil {
		t.Fatal(err)
	}
	if err := closed.Append(bounded(t), messages.Record{}); !errors.Is(err, client.ErrClosed) {
		t.Errorf("error %v", err)
	}

	hasty := produce(t, c, f, client.ProducerOptions{})
	add(t, hasty, "a")
	if err := hasty.Close(soon(t)); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, client.ErrClosed) {
		t.Errorf("error %v", err)
	}

	p := produce(t, c, f, client.ProducerOptions{})
	add(t, p, "a")
	flushed := background(func() error { return p.Flush(bounded(t)) })
	next(t, f.produced)
	next(t, f.produced)
	c.Close()
	if err := next(t, flushed); !errors.Is(err, client.ErrClosed) {
		t.Errorf("error %v", err)
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
