package protocol

import "testing"

const frameRecords = 10_000

func buildFrame(b *FrameBuilder) []byte {
	var value [32]byte
	b.Reset()
	for range frameRecords {
		b.Append(Record{Value: value[:]})
	}
	return b.Bytes()
}

func BenchmarkBuildFrame(b *testing.B) {
	var builder FrameBuilder
	b.SetBytes(int64(len(buildFrame(&builder))))
	b.ReportAllocs()
	for b.Loop() {
		buildFrame(&builder)
	}
}

func BenchmarkReadFrame(b *testing.B) {
	var builder FrameBuilder
	frame := buildFrame(&builder)
	b.SetBytes(int64(len(frame)))
	b.ReportAllocs()
	for b.Loop() {
		r, err := NewFrameReader(frame)
		if err != nil {
			b.Fatal(err)
		}
		for _, ok := r.Next(); ok; _, ok = r.Next() {
		}
		if r.Err() != nil {
			b.Fatal(r.Err())
		}
		r.Close()
	}
}

func BenchmarkCheckFrame(b *testing.B) {
	var builder FrameBuilder
	frame := buildFrame(&builder)
	b.SetBytes(int64(len(frame)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := CheckFrame(frame, DefaultMaxRecordBytes); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendProduceAck(b *testing.B) {
	ack := ProduceAck{Stream: "LANEWAY-orders-3", Sequence: 43, Topic: "orders", Partition: 3, Offset: 42, Records: 1, Ticket: 9, Epoch: 7}
	buf := make([]byte, 0, 256)
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendProduceAck(buf[:0], ack)
	}
}
