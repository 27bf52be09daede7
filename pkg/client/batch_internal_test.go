package client

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"laneway.dev/pkg/protocol"
)

// filled returns a buffer with full batches of a record each, and the futures of the records.
func filled(t *testing.T, values ...string) (*buffer, []Future) {
	t.Helper()
	b := &buffer{
		options: ProducerOptions{BatchRecords: 3, BufferBytes: 1 << 20}, frame: 10,
		work: make(chan struct{}, 1), queues: make([]queue, 1),
	}
	var futures []Future
	for _, v := range values {
		f, err := b.put(context.Background(), 0, protocol.Record{Value: []byte(v)})
		if err != nil {
			t.Fatal(err)
		}
		futures = append(futures, f)
	}
	return b, futures
}

// taken returns the next batch of a buffer, and the values in its frame.
func taken(t *testing.T, b *buffer) (*batch, string) {
	t.Helper()
	bt, _ := b.take(time.Now(), anywhere)
	if bt == nil {
		t.Fatal("there is no batch")
	}
	bt.complete(protocol.CompressionNone, nil)
	r, err := protocol.NewFrameReader(bt.frame)
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	for record, ok := r.Next(); ok; record, ok = r.Next() {
		values = append(values, string(record.Value))
	}
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	return bt, strings.Join(values, " ")
}

func TestFullBatchesAreJoinedAfterBatchesHaveGrown(t *testing.T) {
	b, futures := filled(t, "a", "b", "c", "d")
	first, values := taken(t, b)
	if values != "a" {
		t.Errorf("the first batch has %q, want a: batches have not grown", values)
	}
	b.resize(1000)
	second, values := taken(t, b)
	if values != "b c d" {
		t.Fatalf("the second batch has %q, want b c d", values)
	}
	second.ack = protocol.ProduceAck{Offset: 101}
	b.acked(second)
	if n := b.summary().FirstUnacked; n != 0 {
		t.Errorf("the first record without an acknowledgement is %d, want 0", n)
	}
	first.ack = protocol.ProduceAck{Offset: 100}
	b.acked(first)
	for i, f := range futures {
		if ack, err := f.Wait(context.Background()); err != nil || ack.Offset != int64(100+i) {
			t.Errorf("record %d: offset %d, %v", i, ack.Offset, err)
		}
	}
	if s := b.summary(); s.AckedRecords != 4 || s.AckedBatches != 2 || s.FirstUnacked != 4 || b.room != 0 || len(b.pending) != 0 {
		t.Errorf("%+v; %d bytes and %d batches left", s, b.room, len(b.pending))
	}
}

func TestBatchesAreJoinedUpToTheirLimitOfRecords(t *testing.T) {
	b, _ := filled(t, "a", "b", "c", "d", "e")
	b.resize(1000)
	for _, want := range []string{"a b c", "d e"} {
		if _, values := taken(t, b); values != want {
			t.Errorf("the batch has %q, want %q", values, want)
		}
	}
}

func TestJoinedBatchesFailTogether(t *testing.T) {
	b, futures := filled(t, "a", "b", "c")
	b.resize(1000)
	taken(t, b)
	why := errors.New("refused")
	b.end(why)
	for i, f := range futures {
		if _, err := f.Wait(context.Background()); !errors.Is(err, why) {
			t.Errorf("record %d: %v", i, err)
		}
	}
}

func TestRecordsBeforeJoinedBatchesAreDoneFirst(t *testing.T) {
	b, futures := filled(t, "a", "b", "c")
	b.resize(1000)
	bt, _ := taken(t, b)
	// To close a channel again panics, which stops settle at the batch that was joined first.
	close(bt.joined[0].done)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the joined batches are not settled")
			}
		}()
		bt.settle()
	}()
	for i, want := range []bool{true, true, false} {
		done := false
		select {
		case <-futures[i].Done():
			done = true
		default:
		}
		if done != want {
			t.Errorf("record %d: done is %t, want %t", i, done, want)
		}
	}
}

// gathering returns a buffer for some targets, and the batch of the first one, which is in flight and takes
// more than half of the buffer.
func gathering(t *testing.T, targets int) (*buffer, *batch) {
	t.Helper()
	b := &buffer{
		options: ProducerOptions{BatchRecords: 3, BufferBytes: 1 << 10}, frame: 1 << 10,
		work: make(chan struct{}, 1), queues: make([]queue, targets),
	}
	b.fill(t, 0, string(make([]byte, 600)))
	first, _ := b.take(time.Now(), anywhere)
	if first == nil {
		t.Fatal("there is no batch")
	}
	return b, first
}

func anywhere(int) bool { return true }

// fill adds records to a target.
func (b *buffer) fill(t *testing.T, target int, values ...string) {
	t.Helper()
	for _, v := range values {
		if _, err := b.put(t.Context(), target, protocol.Record{Value: []byte(v)}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRecordsOfManyTargetsGatherWhileHalfOfTheBufferIsInFlight(t *testing.T) {
	b, first := gathering(t, 3)
	b.fill(t, 1, "a")
	b.fill(t, 2, "b", "c")
	if bt, due := b.take(time.Now(), anywhere); bt != nil || !due.IsZero() {
		t.Errorf("taken is a batch of target %d, due is %v", bt.target, due)
	}
	b.fill(t, 2, "d") // it is full
	if bt, values := taken(t, b); bt.target != 2 || values != "b c d" {
		t.Errorf("taken is %q of target %d", values, bt.target)
	}
	b.acked(first)
	if bt, values := taken(t, b); bt.target != 1 || values != "a" {
		t.Errorf("taken is %q of target %d", values, bt.target)
	}
}

func TestRecordsOfOneTargetDoNotGather(t *testing.T) {
	b, _ := gathering(t, 1)
	b.fill(t, 0, "a")
	if _, values := taken(t, b); values != "a" {
		t.Errorf("taken is %q", values)
	}
}

func TestOldestBatchIsTakenFirst(t *testing.T) {
	b, first := gathering(t, 3)
	b.acked(first)
	b.fill(t, 2, "a", "b", "c", "d")
	b.fill(t, 0, "e")
	b.fill(t, 2, "f")
	b.fill(t, 1, "g")
	b.fill(t, 0, "h")
	for _, want := range []string{"a b c", "d f", "e h", "g"} {
		if _, values := taken(t, b); values != want {
			t.Errorf("taken is %q, want %q", values, want)
		}
	}
}
