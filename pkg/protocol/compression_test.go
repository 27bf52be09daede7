package protocol

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
)

// source is the value of a record that is worth compressing.
var source = []byte(strings.Repeat("\tif err != nil {\n\t\treturn nil, err\n\t}\n", 40))

func compressed(t testing.TB, c Compression, records ...Record) []byte {
	t.Helper()
	frame, ok := CompressFrame(nil, frameOf(records...), c)
	if !ok {
		t.Fatalf("%s does not make the frame shorter", c)
	}
	return frame
}

// declaring returns a compressed frame with any head and a block of plain.
func declaring(c Compression, records, size any, plain []byte) []any {
	return []any{compressedVersion, string(c), records, size, c.Compress(nil, plain)}
}

func TestCompressedFrameHasTheSameRecords(t *testing.T) {
	records := append([]Record{{Value: source}}, sampleRecords...)
	plain := frameOf(records...)
	for _, c := range Compressions() {
		t.Run(string(c), func(t *testing.T) {
			frame := compressed(t, c, records...)
			if len(frame) > len(plain)/3 {
				t.Errorf("%d bytes of %d", len(frame), len(plain))
			}
			got, err := readFrame(frame)
			if err != nil {
				t.Fatal(err)
			}
			want, err := readFrame(plain)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-plain +compressed\n%s", diff)
			}
			if again, err := PlainFrame(frame); err != nil || !bytes.Equal(again, plain) {
				t.Errorf("PlainFrame returns another frame, error %v", err)
			}
			if n, err := CheckFrame(frame, len(source)); n != len(records) || err != nil {
				t.Errorf("CheckFrame: %d, %v", n, err)
			}
			if _, err := CheckFrame(frame, len(source)-1); !errors.Is(err, NewError(CodeMessageTooLarge, "")) {
				t.Errorf("CheckFrame with a lower limit for records: %v", err)
			}
		})
	}
}

func TestHeadIsReadWithoutDecompressing(t *testing.T) {
	plain := frameOf(Record{Value: source}, Record{})
	for _, c := range Compressions() {
		frame := compressed(t, c, Record{Value: source}, Record{})
		clear(frame[len(frame)-20:])
		if head, err := ReadFrameHead(frame); err != nil || head != (FrameHead{c, 2, len(plain)}) {
			t.Errorf("%s: %+v, %v", c, head, err)
		}
	}
	if head, err := ReadFrameHead(plain); err != nil || head != (FrameHead{CompressionNone, 2, len(plain)}) {
		t.Errorf("plain: %+v, %v", head, err)
	}
	// The pool of decoders drops some under the race detector, so that the least counts.
	least := math.Inf(1)
	for range 10 {
		least = min(least, testing.AllocsPerRun(100, func() { _, _ = ReadFrameHead(plain) }))
	}
	if least > 0 {
		t.Errorf("the head of a plain frame takes %v allocations", least)
	}
}

func TestFrameThatDoesNotGetShorterStaysPlain(t *testing.T) {
	random := make([]byte, 1000)
	_, _ = rand.NewChaCha8([32]byte{}).Read(random)
	for _, c := range Compressions() {
		before := []byte("before")
		for name, frame := range map[string][]byte{
			"random": frameOf(Record{Value: random}), "short": frameOf(Record{}), "compressed": compressed(t, c, Record{Value: source}), "no frame": source,
		} {
			if got, ok := CompressFrame(before, frame, c); ok || string(got) != "before" {
				t.Errorf("%s: %s: %d bytes, %t", c, name, len(got), ok)
			}
		}
	}
	if _, ok := CompressFrame(nil, frameOf(Record{Value: source}), CompressionNone); ok {
		t.Error("none compresses")
	}
}

func TestCompressedFrameIsAppended(t *testing.T) {
	for _, c := range Compressions() {
		want := compressed(t, c, Record{Value: source})
		for _, room := range []int{0, 100, 10_000} {
			before := append(make([]byte, 0, room), "before"...)
			got, ok := CompressFrame(before, frameOf(Record{Value: source}), c)
			if !ok || !bytes.Equal(got, append([]byte("before"), want...)) {
				t.Errorf("%s, with room for %d: %d bytes, %t", c, room, len(got), ok)
			}
		}
	}
}

func TestWrongCompressedFrameIsMalformed(t *testing.T) {
	plain := frameOf(Record{Value: source}, Record{})
	size := len(plain)
	for _, c := range Compressions() {
		for name, test := range map[string]struct {
			frame any
			says  string
		}{
			"shorter than it is":       {declaring(c, 2, size-1, plain), ""},
			"longer than it is":        {declaring(c, 2, size+1, plain), "declared"},
			"fewer records":            {declaring(c, 1, size, plain), "2 records, the compressed frame declares 1"},
			"more records":             {declaring(c, 3, size, plain), "2 records, the compressed frame declares 3"},
			"more records than fit":    {declaring(c, size/3+1, size, plain), fmt.Sprintf("%d records in a frame of %d bytes", size/3+1, size)},
			"negative records":         {declaring(c, -1, size, plain), "negative"},
			"larger than any frame":    {declaring(c, 2, MaxFrameBytes+1, plain), "67108864 are allowed"},
			"negative size":            {declaring(c, 2, -1, plain), "negative"},
			"unknown codec":            {declaring("lz4", 2, size, plain), `the codec "lz4" is not known`},
			"none":                     {declaring(CompressionNone, 2, size, plain), `the codec "none" is not known`},
			"compressed twice":         {declaring(c, 1, len(compressed(t, c, Record{Value: source})), compressed(t, c, Record{Value: source})), "another compressed frame"},
			"not a frame":              {declaring(c, 2, len(source), source), ""},
			"bytes after the records":  {declaring(c, 2, size+1, append(bytes.Clone(plain), 0)), "after the end"},
			"a field more":             {append(declaring(c, 2, size, plain), 1), "version 2 with 6 fields"},
			"no block":                 {[]any{compressedVersion, string(c), 2, size, []byte{}}, ""},
			"damaged block":            {[]any{compressedVersion, string(c), 2, size, c.Compress(nil, plain)[5:]}, ""},
			"block that is cut off":    {[]any{compressedVersion, string(c), 2, size, c.Compress(nil, plain)[:40]}, ""},
			"bytes after the block":    {[]any{compressedVersion, string(c), 2, size, append(c.Compress(nil, plain), 1, 2, 3)}, ""},
			"plain frame as the block": {[]any{compressedVersion, string(c), 2, size, plain}, ""},
		} {
			t.Run(string(c)+"/"+name, func(t *testing.T) {
				frame := raw(t, test.frame)
				_, err := readFrame(frame)
				wantMalformed(t, err, test.says)
				if _, err := CheckFrame(frame, 1<<20); !errors.Is(err, NewError(CodeMalformedBatch, "")) {
					t.Errorf("CheckFrame: %v", err)
				}
			})
		}
		if frame := append(raw(t, declaring(c, 2, size, plain)), 0); true {
			_, err := readFrame(frame)
			wantMalformed(t, err, "after the end")
		}
	}
}

// A block of a few kilobytes may decompress to gigabytes. The declared size bounds the memory.
func TestBombTakesNoMoreMemoryThanItDeclares(t *testing.T) {
	zeros := make([]byte, 32<<20)
	unsized := func(plain []byte) []byte { // frames of unknown size, as a stream has
		var out bytes.Buffer
		w, err := zstd.NewWriter(&out)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			_, _ = w.Write(plain[:len(plain)/2])
			_ = w.Flush()
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	const declared = 1000
	for name, frame := range map[string][]any{
		"s2":                    declaring(CompressionS2, 1, declared, zeros),
		"zstd":                  declaring(CompressionZstd, 1, declared, zeros),
		"zstd of unknown size":  {compressedVersion, string(CompressionZstd), 1, declared, unsized(zeros)},
		"zstd, frame by frame":  {compressedVersion, string(CompressionZstd), 1, declared, bytes.Repeat(CompressionZstd.Compress(nil, zeros[:900]), 10_000)},
		"zstd, skipped frames":  {compressedVersion, string(CompressionZstd), 1, declared, bytes.Repeat([]byte{0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0}, 10_000)},
		"zstd of a huge window": {compressedVersion, string(CompressionZstd), 1, declared, []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xf0, 0x01, 0x00, 0x00}},
	} {
		data := raw(t, frame)
		_, err := readFrame(data)
		wantMalformed(t, err, "")
		if n := allocated(func() { _, _ = readFrame(data) }); n > 512<<10 {
			t.Errorf("%s: allocates %d bytes", name, n)
		}
	}
}

func TestCheckOfCompressedFramesReusesItsMemory(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // each processor has a pool
	for _, c := range Compressions() {
		frame := compressed(t, c, Record{Value: bytes.Repeat(source, 100)})
		n := allocated(func() {
			for range 200 {
				_, _ = CheckFrame(frame, 1<<20)
			}
		})
		// The pool is emptied now and then, and drops every fourth buffer under the race detector.
		if n > 100*100*uint64(len(source)) {
			t.Errorf("%s: allocates %d bytes", c, n)
		}
	}
}

func FuzzDecompress(f *testing.F) {
	for _, c := range Compressions() {
		f.Add(string(c), c.Compress(nil, source), len(source))
		f.Add(string(c), c.Compress(nil, source), len(source)-1)
		f.Add(string(c), c.Compress(nil, nil), 0)
	}
	f.Fuzz(func(t *testing.T, codec string, block []byte, size int) {
		if size < 0 || size > 1<<20 {
			return
		}
		buf := make([]byte, 100)
		plain, err := Compression(codec).Decompress(buf, block, size)
		if err == nil && len(plain) != size {
			t.Fatalf("%d bytes, want %d", len(plain), size)
		}
	})
}
