package client_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
)

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

func TestInFlightIsBoundedBySpan(t *testing.T) {
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

func TestCloseEndsProducer(t *testing.T) {
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
		t.Errorf("Close with unacknowledged records: %v", err)
	}
}

// positions answers init with these positions of a named producer.
func (f *frontend) positions(positions ...protocol.ProducerPosition) (asked *atomic.Pointer[protocol.ProducerInitRequest]) {
	asked = new(atomic.Pointer[protocol.ProducerInitRequest])
	f.answerInit(func(r protocol.ProducerInitRequest) protocol.ProducerInitResponse {
		asked.Store(&r)
		return protocol.ProducerInitResponse{ProducerID: producerID, ProducerEpoch: producerEpoch, Positions: positions}
	})
	return asked
}

func (f *frontend) position(partition int32, last *int32) protocol.ProducerPosition {
	return protocol.ProducerPosition{Topic: f.topic.Name, Partition: partition, LastSequence: last}
}

func TestNamedProducerContinuesWhereLogEnds(t *testing.T) {
	c, f := setup(t, 3)
	f.receive(1)
	asked := f.positions(f.position(2, new(int32(math.MaxInt32))), f.position(1, new(int32(8))), f.position(0, nil))
	p := produce(t, c, f, client.ProducerOptions{Name: "importer", BatchBytes: single})
	if instance := asked.Load().Instance; instance == "" {
		t.Error("the request names no instance")
	}
	asked.Load().Instance = ""
	if diff := cmp.Diff(protocol.ProducerInitRequest{Name: "importer", Topics: []string{f.topic.Name}}, *asked.Load()); diff != "" {
		t.Error(diff)
	}
	for partition, want := range []int32{0, 9, 0, 0} {
		if got := p.NextSequence(int32(partition)); got != want {
			t.Errorf("partition %d continues at %d, want %d", partition, got, want)
		}
	}
	other := produce(t, c, f, client.ProducerOptions{Name: "importer", Partition: new(int32(0))})
	if got := other.NextSequence(1); got != 0 {
		t.Errorf("a partition that is not sent to continues at %d", got)
	}
	publish(t, p, "to partition 0", "to partition 1")
	sent(t, next(t, f.produced), 9, 9, "to partition 1")
}

func TestExpiredPositionIsAnError(t *testing.T) {
	c, f := setup(t, 2)
	forgotten := f.position(1, nil)
	forgotten.Expired = true
	f.positions(f.position(0, nil), forgotten)
	_, err := c.Producer(bounded(t), f.topic.Name, client.ProducerOptions{Name: "importer"})
	if !errors.Is(err, protocol.NewError(protocol.CodePositionExpired, "")) || !strings.Contains(err.Error(), f.topic.Name+"/1") {
		t.Errorf("error %v", err)
	}
	// A producer for another partition is not affected.
	produce(t, c, f, client.ProducerOptions{Name: "importer", Partition: new(int32(0))})
}

func TestInvalidInitAnswerIsAnError(t *testing.T) {
	c, f := setup(t, 1)
	internal := protocol.NewError(protocol.CodeInternal, "")
	f.positions()
	if _, err := c.Producer(bounded(t), f.topic.Name, client.ProducerOptions{Name: "importer"}); !errors.Is(err, internal) {
		t.Errorf("without a position: %v", err)
	}
	f.answerInit(func(protocol.ProducerInitRequest) protocol.ProducerInitResponse {
		return protocol.ProducerInitResponse{}
	})
	if _, err := c.Producer(bounded(t), f.topic.Name, client.ProducerOptions{}); !errors.Is(err, internal) {
		t.Errorf("without an id: %v", err)
	}
	_, err := c.Producer(bounded(t), f.topic.Name, client.ProducerOptions{Name: strings.Repeat("x", protocol.MaxProducerName+1)})
	if !errors.Is(err, protocol.NewError(protocol.CodeInvalidRequest, "")) {
		t.Errorf("with a long name: %v", err)
	}
}

func TestUnknownTopicOrPartitionIsAnError(t *testing.T) {
	c, f := setup(t, 2)
	unknown := protocol.NewError(protocol.CodeUnknownTopic, "")
	if _, err := c.Producer(bounded(t), "nothing", client.ProducerOptions{}); !errors.Is(err, unknown) {
		t.Errorf("error %v", err)
	}
	for _, n := range []int32{-1, 2} {
		if _, err := c.Producer(bounded(t), f.topic.Name, client.ProducerOptions{Partition: &n}); !errors.Is(err, unknown) {
			t.Errorf("error %v", err)
		}
	}
}

func TestRejectsDeliveryTimeoutAboveExpiry(t *testing.T) {
	c, f := setup(t, 1)
	f.topic.ProducerExpiryMS = protocol.MinProducerExpiry.Milliseconds()
	_, err := c.Producer(bounded(t), f.topic.Name, client.ProducerOptions{DeliveryTimeout: protocol.MinProducerExpiry})
	if !errors.Is(err, protocol.NewError(protocol.CodeInvalidRequest, "")) || !strings.Contains(err.Error(), "10m0s") {
		t.Errorf("error %v", err)
	}
}
