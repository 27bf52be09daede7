package protocol

import (
	"encoding/binary"
	"fmt"
	"slices"

	"laneway.dev/pkg/internal/codec"

	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// A batch frame carries many records in one message. It is plain or compressed:
//
//	[1, [[headers, value], …]]
//	[2, codec, records, size, block]
//
// headers is nil, or an array of alternating names and values. value is a binary. block is
// a plain frame, compressed with the codec. records is the number of its records, and size
// its length in bytes, so that both are known before it is decompressed.
//
// Producers may send frames (see ContentTypeBatch), the object store holds every batch as
// one frame, and a fetch may return frames.
const (
	plainVersion      = 1
	compressedVersion = 2
)

// frameHeader is the length of the part before the first record, as FrameBuilder writes
// it: two array marks, the version, and a count of 32 bits.
const frameHeader = 7

// Limits of the headers of a record.
const (
	MaxHeaders     = 256
	MaxHeaderBytes = 1<<16 - 1 // names and values together, as in JetStream
)

// Header is one header of a record. Names keep their case.
type Header struct {
	Name, Value string
}

// Record is one record of a batch.
type Record struct {
	Headers []Header
	Value   []byte
}

// FrameBuilder builds a batch frame from records. The zero value is ready to use. It is
// not safe for concurrent use.
type FrameBuilder struct {
	buf   []byte
	count uint32
}

// Append adds a record; the value is copied.
func (b *FrameBuilder) Append(r Record) {
	b.begin()
	b.count++
	b.buf = append(b.buf, msgpcode.FixedArrayLow|2)
	if len(r.Headers) == 0 {
		b.buf = append(b.buf, msgpcode.Nil)
	} else {
		b.buf = binary.BigEndian.AppendUint32(append(b.buf, msgpcode.Array32), uint32(2*len(r.Headers)))
		for _, h := range r.Headers {
			b.buf = appendString(b.buf, h.Name)
			b.buf = appendString(b.buf, h.Value)
		}
	}
	b.buf = appendBinary(b.buf, r.Value)
}

// begin writes the head of the first record, with room for their number.
func (b *FrameBuilder) begin() {
	if b.count == 0 {
		b.buf = append(b.buf[:0], msgpcode.FixedArrayLow|2, plainVersion, msgpcode.Array32, 0, 0, 0, 0)
	}
}

// AppendPlain adds the records of a plain frame of any encoder, without checking them. If the
// frame does not begin as a plain frame does, it returns an error, which wraps ErrMalformed, and
// adds nothing.
func (b *FrameBuilder) AppendPlain(frame []byte) error {
	d := codec.Acquire(frame)
	defer d.Release()
	head, _ := readHead(d)
	if d.Err() == nil && head.Compression != CompressionNone {
		d.Fail("the frame is compressed")
	}
	if d.Err() != nil {
		return d.Err()
	}
	b.begin()
	b.buf = append(b.buf, d.Rest()...)
	b.count += uint32(head.Records)
	return nil
}

// AppendFrame adds the records of another builder, which keeps them.
func (b *FrameBuilder) AppendFrame(other *FrameBuilder) {
	if b.count == 0 {
		b.buf = append(b.buf[:0], other.buf...)
	} else if other.count > 0 {
		b.buf = append(b.buf, other.buf[frameHeader:]...)
	}
	b.count += other.count
}

func appendString(buf []byte, s string) []byte {
	if len(s) < 32 {
		buf = append(buf, msgpcode.FixedStrLow|byte(len(s)))
	} else {
		buf = binary.BigEndian.AppendUint32(append(buf, msgpcode.Str32), uint32(len(s)))
	}
	return append(buf, s...)
}

func appendBinary(buf, value []byte) []byte {
	if len(value) < 256 {
		buf = append(buf, msgpcode.Bin8, byte(len(value)))
	} else {
		buf = binary.BigEndian.AppendUint32(append(buf, msgpcode.Bin32), uint32(len(value)))
	}
	return append(buf, value...)
}

// Grow makes room for so many bytes, so that records up to that length are appended without
// another allocation.
func (b *FrameBuilder) Grow(bytes int) { b.buf = slices.Grow(b.buf, bytes) }

// Records returns the number of records appended since the last Reset.
func (b *FrameBuilder) Records() int { return int(b.count) }

// Size returns the length of the frame so far in bytes.
func (b *FrameBuilder) Size() int { return len(b.buf) }

// Bytes returns the frame, or nil without records. It is valid until the next Append or
// Reset.
func (b *FrameBuilder) Bytes() []byte {
	if b.count == 0 {
		return nil
	}
	binary.BigEndian.PutUint32(b.buf[frameHeader-4:], b.count)
	return b.buf
}

// Reset empties the builder and keeps its buffer.
func (b *FrameBuilder) Reset() {
	b.buf = b.buf[:0]
	b.count = 0
}

// Take returns the frame, which then belongs to the caller, and empties the builder.
func (b *FrameBuilder) Take() []byte {
	frame := b.Bytes()
	*b = FrameBuilder{buf: make([]byte, 0, cap(b.buf))}
	return frame
}

// EncodeRecord returns a frame of one record.
func EncodeRecord(r Record) []byte {
	size := frameHeader + len(r.Value) + 16
	for _, h := range r.Headers {
		size += len(h.Name) + len(h.Value) + 10
	}
	b := FrameBuilder{buf: make([]byte, 0, size)}
	b.Append(r)
	return b.Bytes()
}

// FrameReader reads the records of a frame one by one. It is not safe for concurrent use.
// The values of records share the memory of the frame, or of the decompressed one.
type FrameReader struct {
	d    *codec.Decoder // nil once closed
	err  error          // of d, once closed
	left int
	size int
}

// NewFrameReader returns a reader of a frame, which it decompresses if necessary. That
// takes the memory that the frame declares, at most MaxFrameBytes. The caller MUST call
// Close. Errors wrap ErrMalformed.
func NewFrameReader(frame []byte) (*FrameReader, error) { return newFrameReader(frame, nil) }

// newFrameReader decompresses into the memory of buf if it is large enough.
func newFrameReader(frame, buf []byte) (*FrameReader, error) {
	d := codec.Acquire(frame)
	head, block := readHead(d)
	if d.Err() == nil && head.Compression != CompressionNone {
		plain, err := head.Compression.Decompress(buf, block, head.Bytes)
		d.Release()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
		}
		d = codec.Acquire(plain)
		readPlainHead(d, head.Records)
	}
	if err := d.Err(); err != nil {
		d.Release()
		return nil, err
	}
	return &FrameReader{d: d, left: head.Records, size: head.Records}, nil
}

// Records returns the number of records that the frame announces.
func (r *FrameReader) Records() int { return r.size }

// Next returns the next record. ok is false at the end and after an error; Err is nil at
// the end.
func (r *FrameReader) Next() (record Record, ok bool) {
	if !r.advance() {
		return Record{}, false
	}
	rec := Record{Headers: decodeHeaders(r.d), Value: r.d.Bytes()}
	if r.d.Err() != nil {
		return Record{}, false
	}
	return rec, true
}

// advance moves to the fields of the next record. It reports whether there is one.
func (r *FrameReader) advance() bool {
	if r.d == nil || r.d.Err() != nil {
		return false
	}
	if r.left == 0 {
		r.d.End()
		return false
	}
	r.left--
	r.d.Fields(2)
	return r.d.Err() == nil
}

// Err returns the error that ended the reading, or nil if the frame was read to its end.
func (r *FrameReader) Err() error {
	if r.d == nil {
		return r.err
	}
	return r.d.Err()
}

// Close frees the memory of the reader. Its records remain valid.
func (r *FrameReader) Close() {
	if r.d != nil {
		r.err = r.d.Err()
		r.d.Release()
		r.d = nil
	}
}

// headerStrings reads the length of an array of alternating names and values.
func headerStrings(d *codec.Decoder) int {
	n := d.Array()
	if n%2 != 0 {
		d.Fail("%d strings are not pairs of header names and values", n)
		return 0
	}
	return n
}

func decodeHeaders(d *codec.Decoder) []Header {
	n := headerStrings(d)
	if n == 0 {
		return nil
	}
	headers := make([]Header, 0, min(n/2, 64))
	for range n / 2 {
		h := Header{Name: d.Text(), Value: d.Text()}
		if d.Err() != nil {
			return nil
		}
		headers = append(headers, h)
	}
	return headers
}

// Size returns what a record counts against a topic's max-record-bytes: its
// value and its headers.
func (r Record) Size() int { return len(r.Value) + r.HeaderBytes() }

// HeaderBytes returns the length of all header names and values together.
func (r Record) HeaderBytes() int {
	n := 0
	for _, h := range r.Headers {
		n += len(h.Name) + len(h.Value)
	}
	return n
}

// ErrMalformed is wrapped by every error of decoding a frame, a message or an entry.
var ErrMalformed = codec.ErrMalformed
