package client_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
)

func TestPublishRejectsInvalidRecord(t *testing.T) {
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

func TestRecordsOfOneKeyKeepTheirOrder(t *testing.T) {
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
				t.Fatalf("record %d of key %d was sent on %s, want %d on %s", n, k, m.Subject, came[k], subject[k])
			}
			came[k], subject[k] = n+1, m.Subject
		}
	}
}

func TestRecordHasTraceContext(t *testing.T) {
	c, f := setup(t, 1)
	f.ackAll(0)
	provider := sdktrace.NewTracerProvider()
	defer provider.Shutdown(context.Background())
	p := produce(t, c, f, client.ProducerOptions{})
	ctx, span := provider.Tracer("test").Start(bounded(t), "publish")
	own := []protocol.Header{{Name: "traceparent", Value: "00-1-2-3"}}
	for _, headers := range [][]protocol.Header{nil, {{Name: "a", Value: "b"}}, own} {
		if _, err := p.Publish(ctx, client.ProducerRecord{Headers: headers, Value: []byte("v")}); err != nil {
			t.Fatal(err)
		}
	}
	publish(t, p, "without a span")
	if err := p.Close(bounded(t)); err != nil {
		t.Fatal(err)
	}
	sc := span.SpanContext()
	parent := protocol.Header{Name: "traceparent", Value: "00-" + sc.TraceID().String() + "-" + sc.SpanID().String() + "-01"}
	want := [][]protocol.Header{{parent}, {{Name: "a", Value: "b"}, parent}, own, nil}
	var got [][]protocol.Header
	for len(got) < len(want) {
		frame, err := protocol.NewFrameReader(next(t, f.produced).Data)
		if err != nil {
			t.Fatal(err)
		}
		for r, ok := frame.Next(); ok; r, ok = frame.Next() {
			got = append(got, r.Headers)
		}
		frame.Close()
	}
	if !cmp.Equal(got, want) {
		t.Errorf("headers %v, want %v", got, want)
	}
}
