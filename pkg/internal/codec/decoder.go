package codec

import (
	"errors"
	"fmt"
	"io"
	"math"
	"sync"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// ErrMalformed is wrapped by every decoding error.
var ErrMalformed = errors.New("malformed message")

// source is the buffer that a decoder reads; unlike bytes.Reader it can hand out
// parts of the buffer without copying them.
type source struct {
	data []byte
	at   int
}

var _ io.ByteScanner = (*source)(nil)

func (s *source) Read(p []byte) (int, error) {
	if s.at >= len(s.data) {
		return 0, io.EOF
	}
	n := copy(p, s.data[s.at:])
	s.at += n
	return n, nil
}

func (s *source) ReadByte() (byte, error) {
	if s.at >= len(s.data) {
		return 0, io.EOF
	}
	s.at++
	return s.data[s.at-1], nil
}

func (s *source) UnreadByte() error {
	if s.at == 0 {
		return io.EOF
	}
	s.at--
	return nil
}

func (s *source) left() int { return len(s.data) - s.at }

// Decoder reads msgpack from a buffer. The first error sticks: later reads
// return zero values, so that callers check once, at the end of a message.
type Decoder struct {
	src source
	dec *msgpack.Decoder
	err error
	// recent are the strings that were read last. The items of a message often have
	// the same lane and object, whose names then need not be copied again.
	recent [4]string
	oldest int
}

var decoders = sync.Pool{New: func() any {
	d := &Decoder{}
	d.dec = msgpack.NewDecoder(&d.src)
	return d
}}

// Acquire returns a pooled decoder of data. Release must be called.
func Acquire(data []byte) *Decoder {
	d := decoders.Get().(*Decoder)
	d.src = source{data: data}
	d.dec.ResetReader(&d.src)
	d.err = nil
	return d
}

// Release gives the decoder back. What was decoded remains valid.
func (d *Decoder) Release() {
	d.src, d.recent = source{}, [4]string{}
	decoders.Put(d)
}

// Err returns the first error, which wraps ErrMalformed, or nil.
func (d *Decoder) Err() error { return d.err }

// Fail records an error, unless there is one. The message names the byte that was reached.
func (d *Decoder) Fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: byte %d: %s", ErrMalformed, d.src.at, fmt.Sprintf(format, args...))
	}
}

func (d *Decoder) note(err error) {
	if err != nil {
		d.Fail("%v", err)
	}
}

// Array reads the length of an array. Every element takes at least one byte,
// so a length beyond what is left is refused before anything is allocated.
func (d *Decoder) Array() int {
	if d.err != nil {
		return 0
	}
	mark := d.peek()
	if n := int(mark & msgpcode.FixedArrayMask); msgpcode.IsFixedArray(mark) && n < d.src.left() {
		d.src.at++
		return n
	}
	n, err := d.dec.DecodeArrayLen()
	d.note(err)
	switch {
	case d.err != nil:
		return 0
	case n < 0:
		return 0
	case n > d.src.left():
		d.Fail("array of %d elements in %d bytes", n, d.src.left())
		return 0
	}
	return n
}

// Fields reads an array that must have exactly n elements.
func (d *Decoder) Fields(n int) {
	if got := d.Array(); d.err == nil && got != n {
		d.Fail("%d fields where %d are expected", got, n)
	}
}

// peek returns the mark of the next value; zero, which is a small integer, at
// the end of the buffer.
func (d *Decoder) peek() byte {
	if d.src.left() == 0 {
		return 0
	}
	return d.src.data[d.src.at]
}

// unsigned reads an integer without a sign, without the detour through the msgpack decoder. ok is
// false, and nothing is read, if the next value is another one.
func (d *Decoder) unsigned() (v uint64, ok bool) {
	in := d.src.data[d.src.at:]
	if len(in) == 0 {
		return 0, false
	}
	size := 0
	switch mark := in[0]; mark {
	case msgpcode.Uint8:
		size = 1
	case msgpcode.Uint16:
		size = 2
	case msgpcode.Uint32:
		size = 4
	case msgpcode.Uint64:
		size = 8
	default:
		if v, ok = uint64(mark), mark <= msgpcode.PosFixedNumHigh; ok {
			d.src.at++
		}
		return v, ok
	}
	if len(in) <= size {
		return 0, false
	}
	for _, b := range in[1 : 1+size] {
		v = v<<8 | uint64(b)
	}
	d.src.at += 1 + size
	return v, true
}

// Uint reads an integer that must not be negative. The msgpack decoder accepts
// signed integers as well, and would turn -1 into the largest number.
func (d *Decoder) Uint() uint64 {
	if d.err != nil {
		return 0
	}
	if v, ok := d.unsigned(); ok {
		return v
	}
	mark := d.peek()
	v, err := d.dec.DecodeUint64()
	d.note(err)
	signed := mark >= msgpcode.NegFixedNumLow || mark >= msgpcode.Int8 && mark <= msgpcode.Int64
	if signed && int64(v) < 0 {
		d.Fail("%d is negative", int64(v))
	}
	if d.err != nil {
		return 0
	}
	return v
}

// Uint32 reads an integer that must not be negative and fits 32 bits.
func (d *Decoder) Uint32() uint32 {
	v := d.Uint()
	if v > math.MaxUint32 {
		d.Fail("%d does not fit 32 bits", v)
		return 0
	}
	return uint32(v)
}

// Int reads an integer; one beyond the largest int64 would become negative.
func (d *Decoder) Int() int64 {
	if d.err != nil {
		return 0
	}
	if v, ok := d.unsigned(); ok {
		if v > math.MaxInt64 {
			d.Fail("%d does not fit a signed integer", v)
			return 0
		}
		return int64(v)
	}
	v, err := d.dec.DecodeInt64()
	d.note(err)
	if d.err != nil {
		return 0
	}
	return v
}

// Uint16 reads an integer of at most 16 bits. A larger one is rejected and not truncated:
// a truncated error code could be the one that means success.
func (d *Decoder) Uint16() uint16 {
	v := d.Uint()
	if v > math.MaxUint16 {
		d.Fail("%d does not fit 16 bits", v)
		return 0
	}
	return uint16(v)
}

// Natural reads an integer that must not be negative.
func (d *Decoder) Natural() int64 {
	v := d.Int()
	if v < 0 {
		d.Fail("%d is negative", v)
		return 0
	}
	return v
}

// Natural16 reads an integer that must not be negative and fits 16 bits.
func (d *Decoder) Natural16() int16 {
	v := d.Natural()
	if v > math.MaxInt16 {
		d.Fail("%d does not fit 16 bits", v)
		return 0
	}
	return int16(v)
}

// Natural32 reads an integer that must not be negative and fits 32 bits.
func (d *Decoder) Natural32() int32 {
	v := d.Natural()
	if v > math.MaxInt32 {
		d.Fail("%d does not fit 32 bits", v)
		return 0
	}
	return int32(v)
}

// Int32 reads an integer that fits 32 bits.
func (d *Decoder) Int32() int32 {
	v := d.Int()
	if v < math.MinInt32 || v > math.MaxInt32 {
		d.Fail("%d does not fit 32 bits", v)
		return 0
	}
	return int32(v)
}

// Bool reads a truth value.
func (d *Decoder) Bool() bool {
	if d.err != nil {
		return false
	}
	v, err := d.dec.DecodeBool()
	d.note(err)
	return v
}

// Bytes returns a part of the buffer; it is not copied.
func (d *Decoder) Bytes() []byte {
	if d.err != nil {
		return nil
	}
	n := d.length()
	if n <= 0 {
		return nil
	}
	if n > d.src.left() {
		d.Fail("%d bytes announced, %d left", n, d.src.left())
		return nil
	}
	b := d.src.data[d.src.at : d.src.at+n : d.src.at+n]
	d.src.at += n
	return b
}

// length reads the length of a string or of bytes.
func (d *Decoder) length() int {
	switch mark := d.peek(); {
	case msgpcode.IsFixedString(mark):
		d.src.at++
		return int(mark & msgpcode.FixedStrMask)
	case (mark == msgpcode.Bin8 || mark == msgpcode.Str8) && d.src.left() > 1:
		d.src.at += 2
		return int(d.src.data[d.src.at-1])
	}
	n, err := d.dec.DecodeBytesLen()
	d.note(err)
	if d.err != nil {
		return 0
	}
	return n
}

// Text reads a string; it is copied.
func (d *Decoder) Text() string {
	b := d.Bytes()
	if len(b) == 0 {
		return ""
	}
	for _, s := range d.recent {
		if s == string(b) {
			return s
		}
	}
	s := string(b)
	d.recent[d.oldest] = s
	d.oldest = (d.oldest + 1) % len(d.recent)
	return s
}

// Rest returns what was not read.
func (d *Decoder) Rest() []byte { return d.src.data[d.src.at:] }

// End checks that nothing follows the message.
func (d *Decoder) End() {
	if d.err == nil && d.src.left() != 0 {
		d.Fail("%d bytes after the end", d.src.left())
	}
}

// List reads an array of items.
func List[T any](d *Decoder, item func(*Decoder) T) []T {
	n := d.Array()
	if n == 0 {
		return nil
	}
	// An item may take far more memory than wire bytes: grow with what is read.
	items := make([]T, 0, min(n, 1024))
	for range n {
		v := item(d)
		if d.err != nil {
			return nil
		}
		items = append(items, v)
	}
	return items
}
