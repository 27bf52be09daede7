package messages

import "testing"

func BenchmarkEncodeStage(b *testing.B) {
	stage := stageOf(1000, 1<<10)
	b.SetBytes(int64(len(Encode(stage))))
	b.ReportAllocs()
	for b.Loop() {
		Encode(stage)
	}
}

func BenchmarkDecodeStage(b *testing.B) {
	data := Encode(stageOf(1000, 1<<10))
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		mustDecode(b, data)
	}
}

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

func BenchmarkEncodeEntry(b *testing.B) {
	entry := entryOf(1000)
	b.SetBytes(int64(len(EncodeEntry(entry))))
	b.ReportAllocs()
	for b.Loop() {
		EncodeEntry(entry)
	}
}

func BenchmarkDecodeEntry(b *testing.B) {
	data := EncodeEntry(entryOf(1000))
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeEntry(data); err != nil {
			b.Fatal(err)
		}
	}
}

func entryOf(batches int) Entry {
	n := Entry{TopicID: 1, Epoch: 2, SequencerEpoch: 3, BaseOffset: 1 << 30}
	for i := range batches {
		n.Batches = append(n.Batches, Placeholder{
			Lane: "lane-a", Number: uint64(i), Floor: uint64(i / 2), Records: 1,
			Extent: Extent{Key: "objects/01J0000000000000", Offset: int64(i) << 10, Length: 1 << 10, CRC: 0xdeadbeef},
		})
	}
	return n
}

func BenchmarkAppendProduceAck(b *testing.B) {
	ack := ProduceAck{Stream: "LANEWAY-orders-3", Sequence: 43, Topic: "orders", Partition: 3, Offset: 42, Records: 1, Ticket: 9, Epoch: 7}
	buf := make([]byte, 0, 256)
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendProduceAck(buf[:0], ack)
	}
}
