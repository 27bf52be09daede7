package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"laneway.dev/pkg/protocol"
)

// published is a record in a buffer under test, in the order of put.
type published struct {
	Future
	value  string
	number int
	acked  bool
	offset int64
}

// bufferWorld is a buffer and what must be true of it.
type bufferWorld struct {
	*rapid.T
	buffer   *buffer
	all      []*published
	waiting  [][]*published          // by target: not taken yet
	inFlight [][]*batch              // by target
	contents map[*batch][]*published // of batches in flight
	offsets  []int64                 // by target: of the next record in the log
}

func TestBufferSettlesEveryRecordOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		targets := rapid.IntRange(1, 3).Draw(t, "targets")
		w := &bufferWorld{
			T: t, waiting: make([][]*published, targets), inFlight: make([][]*batch, targets),
			contents: map[*batch][]*published{}, offsets: make([]int64, targets),
			buffer: &buffer{
				options: ProducerOptions{BatchRecords: rapid.IntRange(1, 8).Draw(t, "batch records"), BufferBytes: 1 << 20},
				frame:   rapid.IntRange(1, 200).Draw(t, "batch bytes"),
				work:    make(chan struct{}, 1), queues: make([]queue, targets),
			},
		}
		target := func() int { return rapid.IntRange(0, targets-1).Draw(t, "target") }
		t.Repeat(map[string]func(*rapid.T){
			"":          func(*rapid.T) { w.check() },
			"put":       func(*rapid.T) { w.put(target()) },
			"put again": func(*rapid.T) { w.put(target()) },
			"put any":   func(*rapid.T) { w.put(anyTarget) },
			"resize":    func(*rapid.T) { w.buffer.resize(rapid.IntRange(1, 2000).Draw(t, "batch bytes")) },
			"take":      func(*rapid.T) { w.take(target()) },
			"ack":       func(*rapid.T) { w.ack(target()) },
		})
		w.end()
	})
}

func (w *bufferWorld) put(target int) {
	r := &published{number: len(w.all)}
	r.value = fmt.Sprint(r.number, strings.Repeat(".", rapid.IntRange(0, 100).Draw(w.T, "bytes")))
	var err error
	if r.Future, err = w.buffer.put(context.Background(), target, protocol.Record{Value: []byte(r.value)}); err != nil {
		w.Fatal(err)
	}
	w.all = append(w.all, r)
	w.waiting[r.batch.target] = append(w.waiting[r.batch.target], r)
}

// take checks that a batch has the next records of its target, within the limits.
func (w *bufferWorld) take(target int) {
	b, _ := w.buffer.take(time.Now(), func(t int) bool { return t == target })
	if b == nil {
		if len(w.waiting[target]) > 0 {
			w.Fatalf("target %d has no batch, but %d records", target, len(w.waiting[target]))
		}
		return
	}
	b.complete(protocol.CompressionNone, nil)
	if b.records > w.buffer.options.BatchRecords || len(b.joined) > 0 && len(b.frame) > w.buffer.frame {
		w.Fatalf("a batch of %d batches has %d records and %d bytes", 1+len(b.joined), b.records, len(b.frame))
	}
	next := w.waiting[target]
	w.contents[b], w.waiting[target] = next[:b.records], next[b.records:]
	w.inFlight[target] = append(w.inFlight[target], b)
	if b.number != int64(next[0].number) {
		w.Fatalf("the batch begins with record %d, want %d", b.number, next[0].number)
	}
}

// ack acknowledges a batch. After a failure, a later one may come before an earlier one.
func (w *bufferWorld) ack(target int) {
	if len(w.inFlight[target]) == 0 {
		return
	}
	i := rapid.IntRange(0, len(w.inFlight[target])-1).Draw(w.T, "batch")
	b := w.inFlight[target][i]
	w.inFlight[target] = slices.Delete(w.inFlight[target], i, i+1)
	b.ack = protocol.ProduceAck{Partition: int32(target), Offset: w.offsets[target]}
	w.wantFrame(b)
	for _, r := range w.contents[b] {
		r.acked, r.offset = true, w.offsets[target]
		w.offsets[target]++
	}
	w.buffer.acked(b)
}

// wantFrame checks that a batch still has its records: builders are used again.
func (w *bufferWorld) wantFrame(b *batch) {
	r, err := protocol.NewFrameReader(b.frame)
	if err != nil {
		w.Fatal(err)
	}
	defer r.Close()
	for _, want := range w.contents[b] {
		if got, _ := r.Next(); string(got.Value) != want.value {
			w.Fatalf("record %d is %q, want %q", want.number, got.Value, want.value)
		}
	}
	if _, more := r.Next(); more || r.Err() != nil {
		w.Fatalf("the frame does not end after %d records: %v", len(w.contents[b]), r.Err())
	}
}

func (w *bufferWorld) check() {
	want := Summary{Records: int64(len(w.all)), FirstUnacked: int64(len(w.all))}
	room := 0
	for _, r := range slices.Backward(w.all) {
		done := false
		select {
		case <-r.Done():
			done = true
		default:
		}
		if done != r.acked {
			w.Fatalf("record %d: done is %t, want %t", r.number, done, r.acked)
		}
		if r.acked {
			want.AckedRecords++
			continue
		}
		want.FirstUnacked = int64(r.number)
		room += frameSize(&protocol.Record{Value: []byte(r.value)})
	}
	got := w.buffer.summary()
	if got.Records != want.Records || got.AckedRecords != want.AckedRecords || got.FirstUnacked != want.FirstUnacked {
		w.Fatalf("%+v, want %+v", got, want)
	}
	if w.buffer.room != room {
		w.Fatalf("%d bytes are in use, want %d", w.buffer.room, room)
	}
}

// end ends the buffer and checks the results of all records.
func (w *bufferWorld) end() {
	why := errors.New("refused")
	w.buffer.end(why)
	for _, r := range w.all {
		ack, err := r.Wait(context.Background())
		if r.acked && (err != nil || ack.Offset != r.offset) || !r.acked && !errors.Is(err, why) {
			w.Fatalf("record %d: %+v, %v; acknowledged %t at %d", r.number, ack, err, r.acked, r.offset)
		}
	}
}
