package objectstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// lines returns batches of one partition that compress well.
func lines(n int) []Batch {
	batches := make([]Batch, n)
	for i := range batches {
		batches[i] = Batch{
			Partition: protocol.Partition{Topic: "orders", TopicID: 7, Number: 3}, Epoch: 12,
			Batch:   messages.Batch{Ticket: messages.Ticket{Lane: "r:_INBOX.Q7ZsN0Yd3kT", Number: uint64(100 + i)}, Records: 1},
			Payload: protocol.EncodeRecord(protocol.Record{Value: fmt.Appendf(nil, "\tif err := step(%d); err != nil {", i*i)}),
		}
	}
	return batches
}

// extremes are batches with the extremes of the fields of a batch in a block.
func extremes() []Batch {
	batches := lines(20)
	batches[3].Batch = messages.Batch{
		Ticket:  messages.Ticket{Lane: strings.Repeat("l", maxNameSize), Number: math.MaxUint64},
		Records: math.MaxUint32, MessageID: strings.Repeat("i", maxNameSize),
		Sequence: messages.Sequence{ProducerID: math.MaxInt64, ProducerEpoch: math.MaxInt16, First: math.MaxInt32},
	}
	batches[4].Batch = messages.Batch{Sequence: messages.Sequence{ProducerID: math.MinInt64, ProducerEpoch: math.MinInt16, First: math.MinInt32}}
	batches[5].Payload = bytes.Repeat([]byte("x"), 300_000)
	return batches
}

// buildBlocks lays out groups of batches, packs every second one, and returns the object with
// the extents.
func buildBlocks(t rapid.TB, codec protocol.Compression, groups ...[]Batch) ([]byte, []messages.Extent) {
	t.Helper()
	builder := NewBuilder("k")
	var extents []messages.Extent
	for i, group := range groups {
		if i%2 == 0 {
			block := Pack(codec, group)
			if block == nil {
				t.Fatalf("group %d of %d batches is not packed", i, len(group))
			}
			extents = append(extents, builder.AddBlock(block)...)
			continue
		}
		for _, batch := range group {
			extent, err := builder.Add(batch)
			if err != nil {
				t.Fatal(err)
			}
			extents = append(extents, extent)
		}
	}
	object := bytes.Join(builder.Parts(), nil)
	if int64(len(object)) != builder.Size() {
		t.Fatalf("object has %d bytes, builder says %d", len(object), builder.Size())
	}
	return object, extents
}

// memory is a store with one object, of which ranges are read.
type memory struct {
	Store
	object []byte
	reads  int
}

func (m *memory) ReadRange(_ context.Context, _ string, offset, length int64) ([]byte, error) {
	m.reads++
	return slices.Clone(m.object[offset : offset+length]), nil
}

func TestScanAndReadersFindTheBatchesOfBlocks(t *testing.T) {
	for _, codec := range protocol.Compressions() {
		t.Run(string(codec), func(t *testing.T) {
			groups := [][]Batch{lines(500), examples(), extremes(), lines(1), lines(100)}
			object, extents := buildBlocks(t, codec, groups...)
			batches := slices.Concat(groups...)
			var want []StoredBatch
			for i := range batches {
				want = append(want, StoredBatch{batches[i], extents[i]})
				want[i].Payload = nil
			}
			found, err := scanAll("k", object)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, found); diff != "" {
				t.Errorf("found (+) differs from built (-):\n%s", diff)
			}
			found = nil
			for batch, err := range ScanHeads("k", bytes.NewReader(object), int64(len(object))) {
				if err != nil {
					t.Fatal(err)
				}
				found = append(found, batch)
			}
			if diff := cmp.Diff(want, found); diff != "" {
				t.Errorf("heads: found (+) differs from built (-):\n%s", diff)
			}
			frames := NewFrames(&memory{object: object})
			for i := range batches {
				frame, err := frames.Read(t.Context(), extents[i])
				if err != nil || !bytes.Equal(frame, batches[i].Payload) {
					t.Fatalf("batch %d: error %v, or another frame than was built", i, err)
				}
			}
		})
	}
}

func TestAnyBatchesSurviveABlock(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		batch := rapid.Custom(func(t *rapid.T) Batch {
			return Batch{
				Partition: lines(1)[0].Partition, Epoch: 5,
				Batch: messages.Batch{
					Ticket:  messages.Ticket{Lane: rapid.String().Draw(t, "lane"), Number: rapid.Uint64().Draw(t, "number")},
					Records: rapid.Uint32().Draw(t, "records"), MessageID: rapid.String().Draw(t, "message id"),
					Sequence: messages.Sequence{
						ProducerID: rapid.Int64().Draw(t, "producer"), ProducerEpoch: rapid.Int16().Draw(t, "producer epoch"),
						First: rapid.Int32().Draw(t, "first"),
					},
				},
				Payload: bytes.Repeat(rapid.SliceOfN(rapid.Byte(), 1, 20).Draw(t, "payload"), rapid.IntRange(20, 50).Draw(t, "times")),
			}
		})
		batches := rapid.SliceOfN(batch, 2, 30).Draw(t, "batches")
		object, extents := buildBlocks(t, rapid.SampledFrom(protocol.Compressions()).Draw(t, "codec"), batches)
		found, err := scanAll("k", object)
		if err != nil {
			t.Fatal(err)
		}
		for i := range batches {
			want := StoredBatch{batches[i], extents[i]}
			want.Payload = nil
			if diff := cmp.Diff(want, found[i]); diff != "" {
				t.Fatalf("batch %d: found (+) differs from built (-):\n%s", i, diff)
			}
		}
	})
}

func TestBlocksOfSmallRecordsTakeAFractionOfTheBytes(t *testing.T) {
	batches := lines(1000)
	plain, _ := build(t, "k", batches)
	for codec, most := range map[protocol.Compression]float64{protocol.CompressionS2: 0.2, protocol.CompressionZstd: 0.15} {
		object, _ := buildBlocks(t, codec, batches)
		if share := float64(len(object)) / float64(len(plain)); share > most {
			t.Errorf("%s: %.2f of %d bytes, want at most %.2f", codec, share, len(plain), most)
		}
	}
}

func TestBatchesArePackedOnlyIfThatPays(t *testing.T) {
	random := make([]byte, 64<<10)
	for i := range 8 << 10 {
		binary.LittleEndian.PutUint64(random[8*i:], uint64(i)*0x9E3779B97F4A7C15)
	}
	zeros := make([]byte, protocol.MaxFrameBytes/2+1)
	noise := slices.Concat(random[:60<<10], zeros[:5<<10]) // saves 8 %
	for name, batches := range map[string][]Batch{
		"no batch":         nil,
		"random":           {{Payload: random}},
		"too little saved": {{Payload: noise}},
		"an empty payload": {{Payload: zeros[:1000]}, {}},
		"too many bytes":   {{Payload: zeros}, {Payload: zeros}},
		"a name too long":  {{Payload: zeros[:1000], Batch: inLane(strings.Repeat("x", maxNameSize+1))}},
		"too many heads":   slices.Repeat([]Batch{{Payload: zeros[:1000], Batch: inLane(strings.Repeat("x", maxNameSize))}}, 17),
	} {
		for _, codec := range protocol.Compressions() {
			if Pack(codec, batches) != nil {
				t.Errorf("%s: packed with %s", name, codec)
			}
		}
	}
	for _, codec := range []protocol.Compression{"", protocol.CompressionNone, "gzip"} {
		if Pack(codec, lines(100)) != nil {
			t.Errorf("packed with codec %q", codec)
		}
	}
}

func TestEveryAlteredByteOfABlockIsFound(t *testing.T) {
	for _, codec := range protocol.Compressions() {
		object, extents := buildBlocks(t, codec, lines(12), lines(2))
		for at := range object {
			altered := bytes.Clone(object)
			altered[at] ^= 0x40
			_, err := scanAll("k", altered)
			var corrupt *CorruptError
			if !errors.As(err, &corrupt) || corrupt.Key != "k" {
				t.Fatalf("%s: byte %d altered: error is %v, want a CorruptError with the key", codec, at, err)
			}
			inBlock := int64(at) >= extents[0].Offset && int64(at) < extents[0].Offset+extents[0].Length
			frames := NewFrames(&memory{object: altered})
			for i := range 12 {
				if _, err := frames.Read(t.Context(), extents[i]); errors.As(err, &corrupt) != inBlock {
					t.Fatalf("%s: byte %d altered: reading batch %d gives %v", codec, at, i, err)
				}
			}
		}
	}
}

func TestDamageOfABlockConcernsItsBatches(t *testing.T) {
	object, extents := buildBlocks(t, protocol.CompressionZstd, lines(5), lines(2), lines(6))
	scan := func(at int64) (whole, known int, unknown []messages.Extent) {
		altered := bytes.Clone(object)
		altered[at] ^= 1
		for batch, err := range Scan("k", bytes.NewReader(altered), int64(len(altered))) {
			switch {
			case err == nil:
				whole++
			case batch.Lane != "":
				known++
			default:
				unknown = append(unknown, batch.Extent)
			}
		}
		return whole, known, unknown
	}
	if whole, known, unknown := scan(extents[0].Offset + 3); whole != 8 || known != 5 || len(unknown) != 0 {
		t.Errorf("frames altered: %d whole, %d damaged, %v unknown; want 8 and 5", whole, known, unknown)
	}
	stored := extents[7].Stored()
	stored.Block = messages.InBlock{}
	if whole, known, unknown := scan(stored.Offset - 9); whole != 7 || known != 0 || !slices.Equal(unknown, []messages.Extent{stored}) {
		t.Errorf("heads altered: %d whole, %d damaged, %v unknown; want 7, none and %v", whole, known, unknown, stored)
	}
}

func TestABlockIsReadOnceForNeighboringBatches(t *testing.T) {
	object, extents := buildBlocks(t, protocol.CompressionS2, lines(50), lines(1), lines(50))
	for _, damaged := range []bool{false, true} {
		store := &memory{object: slices.Clone(object)}
		want := 3
		if damaged {
			store.object[extents[0].Offset] ^= 1
			want += Reads - 1
		}
		frames := NewFrames(store)
		for i := range extents {
			if _, err := frames.Read(t.Context(), extents[i]); (err != nil) != (damaged && i < 50) {
				t.Errorf("batch %d: %v", i, err)
			}
		}
		if store.reads != want {
			t.Errorf("damaged %v: %d reads, want %d", damaged, store.reads, want)
		}
	}
}

func TestABlockIsTheSameInEveryObject(t *testing.T) {
	block := Pack(protocol.CompressionZstd, lines(50))
	one, other := NewBuilder("one"), NewBuilder("other")
	if _, err := other.Add(examples()[0]); err != nil {
		t.Fatal(err)
	}
	a, b := one.AddBlock(block), other.AddBlock(block)
	for i := range a {
		if a[i].Key != "one" || b[i].Key != "other" || a[i].Offset == b[i].Offset || a[i].Block != b[i].Block || a[i].CRC != b[i].CRC {
			t.Fatalf("extents %v and %v", a[i], b[i])
		}
	}
}

// A head may be signed and yet contradict itself or the frames.
func TestBlockThatContradictsItselfIsDamaged(t *testing.T) {
	object, extents := buildBlocks(t, protocol.CompressionS2, lines(5))
	const head = headerSize
	for name, alter := range map[string]func(object []byte){
		"codec 0":                func(o []byte) { o[head+12] = 0 },
		"codec to come":          func(o []byte) { o[head+12] = 3 },
		"other codec":            func(o []byte) { o[head+12] = 2 },
		"no batch":               func(o []byte) { binary.LittleEndian.PutUint32(o[head+13:], 0) },
		"one batch less":         func(o []byte) { binary.LittleEndian.PutUint32(o[head+13:], 4) },
		"one batch more":         func(o []byte) { binary.LittleEndian.PutUint32(o[head+13:], 6) },
		"many batches":           func(o []byte) { binary.LittleEndian.PutUint32(o[head+13:], math.MaxUint32) },
		"other size of heads":    func(o []byte) { o[head+17]++ },
		"absurd size of heads":   func(o []byte) { binary.LittleEndian.PutUint32(o[head+17:], math.MaxUint32) },
		"other size of frames":   func(o []byte) { o[head+21]++ },
		"frames below stored":    func(o []byte) { binary.LittleEndian.PutUint32(o[head+21:], uint32(extents[0].Length)) },
		"absurd size of frames":  func(o []byte) { binary.LittleEndian.PutUint32(o[head+21:], math.MaxUint32) },
		"topic beyond the head":  func(o []byte) { binary.LittleEndian.PutUint16(o[head+45:], math.MaxUint16) },
		"topic longer by a byte": func(o []byte) { o[head+45]++ },
		"length of the index":    func(o []byte) { o[head+4]++ },
	} {
		t.Run(name, func(t *testing.T) {
			altered := bytes.Clone(object)
			alter(altered)
			resign(altered)
			_, err := scanAll("k", altered)
			if corrupt, ok := errors.AsType[*CorruptError](err); !ok || corrupt.Damage != Head {
				t.Errorf("error is %v, want a damaged head", err)
			}
		})
	}
}

// wrongBlock is an object with a block whose frames are not what its head says, although all
// checksums are right.
func wrongBlock(t *testing.T, content []byte) []byte {
	t.Helper()
	block := Pack(protocol.CompressionZstd, lines(500))
	binary.LittleEndian.PutUint32(block.head[4:], uint32(len(content)))
	binary.LittleEndian.PutUint32(block.head[8:], Checksum(content))
	body := block.head[:len(block.head)-checksumSize]
	binary.LittleEndian.PutUint32(block.head[len(body):], Checksum(body))
	block.frames, block.crc = content, Checksum(content)
	builder := NewBuilder("k")
	builder.AddBlock(block)
	return bytes.Join(builder.Parts(), nil)
}

func TestBlockWithOtherContentThanItsHeadSaysIsDamaged(t *testing.T) {
	size := 0
	for _, b := range lines(500) {
		size += len(b.Payload)
	}
	zeros := make([]byte, 64<<20)
	for name, content := range map[string][]byte{
		"no block":        []byte("no block"),
		"one byte less":   protocol.CompressionZstd.Compress(nil, zeros[:size-1]),
		"one byte more":   protocol.CompressionZstd.Compress(nil, zeros[:size+1]),
		"bomb":            protocol.CompressionZstd.Compress(nil, zeros),
		"other frames":    protocol.CompressionZstd.Compress(nil, zeros[:size]),
		"another's codec": protocol.CompressionS2.Compress(nil, zeros[:size]),
	} {
		t.Run(name, func(t *testing.T) {
			if len(content) >= size {
				t.Fatalf("%d bytes of content for a block of %d", len(content), size)
			}
			object := wrongBlock(t, content)
			damaged := 0
			for batch, err := range Scan("k", bytes.NewReader(object), int64(len(object))) {
				if corrupt, ok := errors.AsType[*CorruptError](err); !ok || corrupt.Damage != Payload || batch.Lane == "" {
					t.Fatalf("batch %v with error %v, want a damaged payload", batch, err)
				}
				damaged++
				if _, err := NewFrames(&memory{object: object}).Read(t.Context(), batch.Extent); err == nil {
					t.Fatal("the frame is read")
				}
			}
			if damaged != 500 {
				t.Errorf("%d damaged batches, want 500", damaged)
			}
		})
	}
}
