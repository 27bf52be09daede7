package segment

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"laneway.dev/internal/core/layout"
	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

const key = "s/0000000000000001/01J00000000000000000000000"

var partition = protocol.Partition{Topic: "orders", TopicID: 7, Number: 3, Incarnation: 1}

// logged is an entry with its frames.
type logged struct {
	messages.LoggedEntry
	frames [][]byte
}

// script makes a log entry by entry.
type script struct {
	sequence uint64
	offset   int64
	entries  []logged
}

// add appends an entry with a batch of one record for each frame. Frames that are nil get an
// extent of something that cannot be read.
func (s *script) add(frames ...[]byte) *script {
	n := messages.Entry{
		TopicID: partition.TopicID, BaseOffset: s.offset, Time: int64(s.sequence), Epoch: 5, SequencerEpoch: 6,
		History: messages.History{Manifest: "m", End: messages.Position{Sequence: 1}},
		Refused: []messages.LaneNumbers{{Lane: "a", Numbers: []uint64{1}}},
	}
	for i, frame := range frames {
		x := messages.Extent{Key: "objects/1", Offset: int64(i), Length: int64(len(frame)), CRC: layout.Sum(frame)}
		n.Batches = append(n.Batches, messages.Placeholder{
			Batch: messages.Batch{
				Ticket: messages.Ticket{Lane: "lane", Number: 9}, Floor: 3, Records: 1, MessageID: fmt.Sprint("id-", s.offset),
				Sequence: messages.Sequence{ProducerID: 4, ProducerEpoch: 1, First: int32(s.offset & math.MaxInt32)},
			},
			Extent: x,
		})
		s.offset++
	}
	s.entries = append(s.entries, logged{messages.LoggedEntry{Sequence: s.sequence, Entry: n}, frames})
	s.sequence++
	return s
}

func from(sequence uint64, offset int64) *script { return &script{sequence: sequence, offset: offset} }

// frame returns a plain batch frame with one record of n bytes of text.
func frame(n int) []byte {
	return frameOf([]byte(strings.Repeat("the same again, ", n/16+1))[:n])
}

// noise returns a plain batch frame with one record of n bytes that no codec makes shorter.
func noise(n int) []byte {
	value, state := make([]byte, n), uint64(n)*2+1
	for i := range value {
		state = state*6364136223846793005 + 1442695040888963407
		value[i] = byte(state >> 56)
	}
	return frameOf(value)
}

func frameOf(value []byte) []byte {
	var b protocol.FrameBuilder
	b.Append(protocol.Record{Value: value})
	return bytes.Clone(b.Bytes())
}

func compressed(t rapid.TB, plain []byte) []byte {
	t.Helper()
	frame, ok := protocol.CompressFrame(nil, plain, protocol.CompressionZstd)
	if !ok {
		t.Fatal("the frame does not get shorter")
	}
	return frame
}

// build returns the segment of a log and its summary.
func build(t rapid.TB, codec protocol.Compression, log []logged) ([]byte, Summary) {
	t.Helper()
	b := NewBuilder(key, partition, codec)
	for _, e := range log {
		if err := b.Add(e.LoggedEntry, e.frames); err != nil {
			t.Fatal(err)
		}
	}
	parts, s, err := b.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Join(parts, nil), s
}

// open returns the footer of a segment.
func open(t rapid.TB, object []byte) *Footer {
	t.Helper()
	f, need, err := ParseTail(key, object, int64(len(object)))
	if err != nil || need != 0 {
		t.Fatalf("need %d, %v", need, err)
	}
	return f
}

// page returns the entries of a page.
func page(t rapid.TB, f *Footer, i int, object []byte) []messages.LoggedEntry {
	t.Helper()
	p := f.Pages[i]
	entries, err := f.ParsePage(i, object[p.Position:p.Position+p.Length])
	if err != nil {
		t.Fatalf("page %d: %v", i, err)
	}
	return entries
}

// all returns all entries of a segment.
func all(t rapid.TB, object []byte) (entries []messages.LoggedEntry) {
	t.Helper()
	f := open(t, object)
	for i := range f.Pages {
		entries = append(entries, page(t, f, i, object)...)
	}
	return entries
}

// read returns the frame of an extent, as readers of objects do.
func read(t rapid.TB, object []byte, x messages.Extent) []byte {
	t.Helper()
	content := object[x.Offset : x.Offset+x.Length]
	if err := objectstore.Verify(x, content); err != nil {
		t.Fatal(err)
	}
	if !x.Compressed() {
		return content
	}
	block, err := objectstore.Decompress(x, content)
	if err != nil {
		t.Fatal(err)
	}
	frame, err := objectstore.Frame(x, block)
	if err != nil {
		t.Fatal(err)
	}
	return frame
}

func wantMalformed(t *testing.T, err error, says string) {
	t.Helper()
	if !errors.Is(err, protocol.ErrMalformed) || !strings.Contains(err.Error(), says) {
		t.Fatalf("error is %v, want one that wraps ErrMalformed and says %q", err, says)
	}
}

// genLog draws a log with gaps, damage, frames of any kind, and times that fall.
var genLog = rapid.Custom(func(t *rapid.T) []logged {
	s := from(rapid.Uint64Range(1, math.MaxUint64-1000).Draw(t, "first"), rapid.Int64Range(0, math.MaxInt64-1<<40).Draw(t, "offset"))
	time, rising := int64(1_700_000_000_000_000_000), uint64(0)
	for range rapid.IntRange(1, 60).Draw(t, "entries") {
		gap := rapid.SampledFrom([]int64{0, 0, 0, 5}).Draw(t, "gap")
		s.offset += gap
		s.add(rapid.SliceOfN(genFrame, 0, 4).Draw(t, "frames")...)
		n := &s.entries[len(s.entries)-1]
		n.Entry.Gap, n.Entry.Created = gap, rapid.Bool().Draw(t, "created")
		step := rapid.Int64Range(-1, 5).Draw(t, "step")
		if time += step; step < 0 {
			rising = n.Sequence
		}
		n.Entry.Time, n.Entry.RisingFrom = time, rising
		for i := range n.Entry.Batches {
			more := rapid.Int64Range(0, 3).Draw(t, "records")
			n.Entry.Batches[i].Records += uint32(more)
			s.offset += more
		}
	}
	return s.entries
})

var genFrame = rapid.Custom(func(t *rapid.T) []byte {
	n := rapid.IntRange(0, 3000).Draw(t, "bytes")
	switch rapid.IntRange(0, 5).Draw(t, "kind of frame") {
	case 0:
		return nil
	case 1:
		return noise(n)
	case 2:
		return compressed(t, frame(n+1000))
	case 3:
		return []byte("not even a frame")
	default:
		return frame(n)
	}
})

var genCodec = rapid.SampledFrom(append([]protocol.Compression{"", protocol.CompressionNone}, protocol.Compressions()...))
