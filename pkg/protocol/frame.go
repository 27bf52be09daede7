package protocol

import (
	"encoding/binary"

	"laneway.dev/pkg/internal/codec"

	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// A batch frame carries many records in one message:
//
//	[version, [[headers, value], …]]
//
// headers is nil, or an array of alternating names and values. value is a binary.
// Producers may send frames (see ContentTypeBatch), the object store holds every batch as
// one frame, and a fetch may return frames.
const frameVersion = 1

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
	if b.count == 0 {
		b.buf = append(b.buf[:0], msgpcode.FixedArrayLow|2, frameVersion, msgpcode.Array32, 0, 0, 0, 0)
	}
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
// The values of records share the memory of the frame.
type FrameReader struct {
	d    *codec.Decoder // nil once closed
	err  error          // of d, once closed
	left int
	size int
}

// NewFrameReader returns a reader of a frame. The caller MUST call Close. Errors wrap
// ErrMalformed.
func NewFrameReader(frame []byte) (*FrameReader, error) {
	d := codec.Acquire(frame)
	d.Fields(2)
	if v := d.Uint(); d.Err() == nil && v != frameVersion {
		d.Fail("batch frame of version %d, this process reads %d", v, frameVersion)
	}
	n := d.Array()
	if d.Err() != nil {
		err := d.Err()
		d.Release()
		return nil, err
	}
	return &FrameReader{d: d, left: n, size: n}, nil
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

// skip skips the next record. It returns the record's Size, or the error for its headers. It
// allocates nothing: the decoded records of a malicious frame, with many empty headers, would
// need many times the memory of the frame.
func (r *FrameReader) skip() (size int, refusal *Error, ok bool) {
	if !r.advance() {
		return 0, nil, false
	}
	n := headerStrings(r.d)
	if refusal := headersFit(n/2, 0); refusal != nil && r.d.Err() == nil {
		return 0, refusal, true
	}
	headers := 0
	for range n / 2 {
		name, value := r.d.Bytes(), r.d.Bytes()
		if r.d.Err() != nil {
			return 0, nil, false
		}
		if code, why := kept(name, value); code != CodeOK {
			return 0, headerError(code, name, value, why), true
		}
		headers += len(name) + len(value)
	}
	if refusal := headersFit(0, headers); refusal != nil {
		return 0, refusal, true
	}
	return headers + len(r.d.Bytes()), nil, r.d.Err() == nil
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

// CheckFrame checks a whole frame and returns the number of its records. It returns an
// error of the catalogue for a frame that is malformed or has no records, for a record of
// more than maxRecordBytes, and for headers that Record.CheckHeaders refuses.
func CheckFrame(frame []byte, maxRecordBytes int) (int, error) {
	r, err := NewFrameReader(frame)
	if err != nil {
		return 0, NewError(CodeMalformedBatch, err.Error())
	}
	defer r.Close()
	for n := 0; ; n++ {
		size, refusal, ok := r.skip()
		if !ok {
			break
		}
		if refusal == nil && size > maxRecordBytes {
			refusal = RecordTooLarge(size, maxRecordBytes)
		}
		if refusal != nil {
			return 0, Errorf(refusal.Code, "record %d of the frame: %s", n, refusal.Detail)
		}
	}
	switch {
	case r.Err() != nil:
		return 0, NewError(CodeMalformedBatch, r.Err().Error())
	case r.Records() == 0:
		return 0, NewError(CodeEmptyBatch, "")
	}
	return r.Records(), nil
}

// ErrMalformed is wrapped by every error of decoding a frame, a message or an entry.
var ErrMalformed = codec.ErrMalformed
