package client_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
)

func TestRecordsGatherWhileBatchesAreInFlight(t *testing.T) {
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

func TestPublishWaitsForRoom(t *testing.T) {
	c, f := setup(t, 1)
	f.receive(0)
	p := produce(t, c, f, client.ProducerOptions{BufferBytes: 30, Linger: time.Hour})
	publish(t, p, "a", "b") // 12 bytes each; they do not linger when the buffer is full
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

func TestFlushEndsLinger(t *testing.T) {
	c, f := setup(t, 2)
	f.ackAll(0)
	f.ackAll(1)
	p := produce(t, c, f, client.ProducerOptions{Linger: time.Hour})
	publish(t, p, "a")
	if _, err := p.Publish(bounded(t), client.ProducerRecord{Key: "b", Value: []byte("b")}); err != nil {
		t.Fatal(err)
	}
	if len(f.produced) > 0 {
		t.Fatal("sent before the end of linger")
	}
	if err := p.Flush(bounded(t)); err != nil || p.Summary().AckedRecords != 2 {
		t.Errorf("%v, %+v", err, p.Summary())
	}
}

func TestLingerEnds(t *testing.T) {
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

func TestLargeRecordHasItsOwnBatch(t *testing.T) {
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

func TestRecordsWithoutKeyRotatePartitions(t *testing.T) {
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

func TestCloseWakesPublishers(t *testing.T) {
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
