package protocol

import (
	"fmt"
	"runtime"
	"slices"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
)

// Compression is how a batch frame is compressed. It is the name of the codec in a compressed
// frame, and in FetchRequest.Accept.
type Compression string

// The values of Compression.
const (
	CompressionNone Compression = "none" // a plain frame; never named in a frame
	CompressionS2   Compression = "s2"   // one block of the S2 format, without the framing of its streams
	CompressionZstd Compression = "zstd" // frames of RFC 8878, without a dictionary
)

// Compressions returns the codecs of this version.
func Compressions() []Compression { return []Compression{CompressionS2, CompressionZstd} }

// encoders compress with zstd, and decoders decompress. As many goroutines as there are
// processors can use each at a time, and others wait. That bounds their memory.
//
// The lowest level of zstd is used. The next one makes Go source smaller by 8 %, but takes 1.7
// times as long, and then a producer sends fewer records than without compression. A frame
// needs no checksum of its own, because the stored extent has one.
var (
	encoders = must(zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderCRC(false),
		zstd.WithEncoderConcurrency(runtime.GOMAXPROCS(0)), zstd.WithLowerEncoderMem(true)))
	decoders = must(zstd.NewReader(nil, zstd.WithDecoderConcurrency(runtime.GOMAXPROCS(0)), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(MaxFrameBytes), zstd.WithDecodeAllCapLimit(true)))
)

func must[T any](codec T, err error) T {
	if err != nil {
		panic(err) // impossible: the options are constants
	}
	return codec
}

// Known reports whether c is one of Compressions.
func (c Compression) Known() bool { return slices.Contains(Compressions(), c) }

// Compress appends plain to dst as a compressed block. c MUST be one of Compressions.
func (c Compression) Compress(dst, plain []byte) []byte {
	if c == CompressionZstd {
		return encoders.EncodeAll(plain, dst)
	}
	at, most := len(dst), s2.MaxEncodedLen(len(plain))
	dst = slices.Grow(dst, most)
	return dst[:at+len(s2.Encode(dst[at:at+most], plain))]
}

// Decompress returns a block that has exactly size bytes when it is decompressed, and fails if
// it has another size, or size is above MaxFrameBytes. It uses the memory of buf if that is large
// enough, and never more than size bytes beside it.
func (c Compression) Decompress(buf, block []byte, size int) ([]byte, error) {
	if size < 0 || size > MaxFrameBytes {
		return nil, fmt.Errorf("a block of %d bytes when it is decompressed; %d are allowed", size, MaxFrameBytes)
	}
	var plain []byte
	var err error
	switch c {
	case CompressionS2:
		if n, lengthErr := s2.DecodedLen(block); lengthErr == nil && n != size {
			return nil, fmt.Errorf("the block has %d bytes when it is decompressed, %d are declared", n, size)
		}
		plain, err = s2.Decode(room(buf, size), block)
	case CompressionZstd:
		plain, err = decoders.DecodeAll(block, room(buf, size)[:0])
	default:
		return nil, fmt.Errorf("the codec %.20q is not known", string(c))
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("decompress %d bytes with %s: %w", len(block), c, err)
	case len(plain) != size:
		return nil, fmt.Errorf("the block has %d bytes when it is decompressed, %d are declared", len(plain), size)
	}
	return plain, nil
}

// room returns buf with a length and capacity of size, or a new buffer.
func room(buf []byte, size int) []byte {
	if cap(buf) < size {
		return make([]byte, size)
	}
	return buf[:size:size]
}
