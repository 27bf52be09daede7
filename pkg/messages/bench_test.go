package messages

import (
	"slices"
	"testing"
)

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
			Batch:  Batch{Ticket: Ticket{Lane: "lane-a", Number: uint64(i)}, Floor: uint64(i / 2), Records: 1},
			Extent: Extent{Key: "objects/01J0000000000000", Offset: int64(i) << 10, Length: 1 << 10, CRC: 0xdeadbeef},
		})
	}
	return n
}

func BenchmarkDecodeParcel(b *testing.B) {
	data, _ := parcelOf(slices.Repeat([]Message{stageOf(1, 1<<10)}, 256)...)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if err := DecodeParcel(data, func(Message) {}); err != nil {
			b.Fatal(err)
		}
	}
}
