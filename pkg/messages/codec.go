package messages

import (
	"bytes"
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

// encoder writes msgpack into a buffer of its own. Writing to memory cannot
// fail, so the errors of the msgpack encoder are kept only as a guard.
type encoder struct {
	buf bytes.Buffer
	enc *msgpack.Encoder
	err error
}

var encoders = sync.Pool{New: func() any {
	e := &encoder{}
	e.enc = msgpack.NewEncoder(&e.buf)
	return e
}}

// encodeFor runs write on a pooled encoder and lends what it wrote to use: large
// messages would otherwise cost a buffer each.
func encodeFor(sizeHint int, write func(*encoder), use func([]byte)) {
	e := encoders.Get().(*encoder)
	e.buf.Reset()
	e.buf.Grow(sizeHint)
	e.err = nil
	write(e)
	if e.err != nil {
		// bytes.Buffer only fails by running out of memory, which panics by itself.
		panic(fmt.Sprintf("messages: encoding to memory failed: %v", e.err))
	}
	use(e.buf.Bytes())
	const keep = 4 << 20
	if e.buf.Cap() <= keep {
		encoders.Put(e)
	}
}

// encode returns what write wrote.
func encode(sizeHint int, write func(*encoder)) (out []byte) {
	encodeFor(sizeHint, write, func(data []byte) { out = bytes.Clone(data) })
	return out
}

func (e *encoder) note(err error) {
	if e.err == nil {
		e.err = err
	}
}

func (e *encoder) array(n int)     { e.note(e.enc.EncodeArrayLen(n)) }
func (e *encoder) uint(v uint64)   { e.note(e.enc.EncodeUint(v)) }
func (e *encoder) int(v int64)     { e.note(e.enc.EncodeInt(v)) }
func (e *encoder) string(s string) { e.note(e.enc.EncodeString(s)) }
func (e *encoder) bool(b bool)     { e.note(e.enc.EncodeBool(b)) }

// bytes writes b without handing it to the encoder's string path; nil is an empty value.
func (e *encoder) bytes(b []byte) {
	e.note(e.enc.EncodeBytesLen(len(b)))
	_, err := e.buf.Write(b)
	e.note(err)
}

// source is the buffer a decoder reads; unlike bytes.Reader it can hand out
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

// decoder reads msgpack from a buffer. The first error sticks: later reads
// return zero values, so that callers check once, at the end of a message.
type decoder struct {
	src source
	dec *msgpack.Decoder
	err error
	// recent are strings that were read lately: the items of a message repeat
	// their lane and their object, which then need not be copied again.
	recent [4]string
	oldest int
}

var decoders = sync.Pool{New: func() any {
	d := &decoder{}
	d.dec = msgpack.NewDecoder(&d.src)
	return d
}}

func acquireDecoder(data []byte) *decoder {
	d := decoders.Get().(*decoder)
	d.src = source{data: data}
	d.dec.ResetReader(&d.src)
	d.err = nil
	return d
}

func (d *decoder) release() {
	d.src, d.recent = source{}, [4]string{}
	decoders.Put(d)
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: byte %d: %s", ErrMalformed, d.src.at, fmt.Sprintf(format, args...))
	}
}

func (d *decoder) note(err error) {
	if err != nil {
		d.fail("%v", err)
	}
}

// array reads the length of an array. Every element takes at least one byte,
// so a length beyond what is left is refused before anything is allocated.
func (d *decoder) array() int {
	if d.err != nil {
		return 0
	}
	n, err := d.dec.DecodeArrayLen()
	d.note(err)
	switch {
	case d.err != nil:
		return 0
	case n < 0:
		return 0
	case n > d.src.left():
		d.fail("array of %d elements in %d bytes", n, d.src.left())
		return 0
	}
	return n
}

// fields reads an array that must have exactly n elements.
func (d *decoder) fields(n int) {
	if got := d.array(); d.err == nil && got != n {
		d.fail("%d fields where %d are expected", got, n)
	}
}

// peek returns the mark of the next value; zero, which is a small integer, at
// the end of the buffer.
func (d *decoder) peek() byte {
	if d.src.left() == 0 {
		return 0
	}
	return d.src.data[d.src.at]
}

// uint reads an integer that must not be negative. The msgpack decoder takes
// signed integers as well and would turn -1 into the largest number there is.
func (d *decoder) uint() uint64 {
	if d.err != nil {
		return 0
	}
	mark := d.peek()
	v, err := d.dec.DecodeUint64()
	d.note(err)
	signed := mark >= msgpcode.NegFixedNumLow || mark >= msgpcode.Int8 && mark <= msgpcode.Int64
	if signed && int64(v) < 0 {
		d.fail("%d is negative", int64(v))
	}
	if d.err != nil {
		return 0
	}
	return v
}

func (d *decoder) uint32() uint32 {
	v := d.uint()
	if v > math.MaxUint32 {
		d.fail("%d does not fit 32 bits", v)
		return 0
	}
	return uint32(v)
}

// int reads an integer; one beyond the largest int64 would become negative.
func (d *decoder) int() int64 {
	if d.err != nil {
		return 0
	}
	mark := d.peek()
	v, err := d.dec.DecodeInt64()
	d.note(err)
	if mark == msgpcode.Uint64 && v < 0 {
		d.fail("%d does not fit a signed integer", uint64(v))
	}
	if d.err != nil {
		return 0
	}
	return v
}

// code reads a code of the catalogue. One that is cut to 16 bits could become
// CodeOK, so it is refused.
func (d *decoder) code() Code {
	v := d.uint()
	if v > math.MaxUint16 {
		d.fail("%d is no error code", v)
		return 0
	}
	return Code(v)
}

// natural reads an integer that must not be negative.
func (d *decoder) natural() int64 {
	v := d.int()
	if v < 0 {
		d.fail("%d is negative", v)
		return 0
	}
	return v
}

// natural16 and natural32 read integers that must not be negative.
func (d *decoder) natural16() int16 {
	v := d.natural()
	if v > math.MaxInt16 {
		d.fail("%d does not fit 16 bits", v)
		return 0
	}
	return int16(v)
}

func (d *decoder) natural32() int32 {
	v := d.natural()
	if v > math.MaxInt32 {
		d.fail("%d does not fit 32 bits", v)
		return 0
	}
	return int32(v)
}

func (d *decoder) int32() int32 {
	v := d.int()
	if v < math.MinInt32 || v > math.MaxInt32 {
		d.fail("%d does not fit 32 bits", v)
		return 0
	}
	return int32(v)
}

func (d *decoder) bool() bool {
	if d.err != nil {
		return false
	}
	v, err := d.dec.DecodeBool()
	d.note(err)
	return v
}

// bytes returns a part of the buffer; it is not copied.
func (d *decoder) bytes() []byte {
	if d.err != nil {
		return nil
	}
	n, err := d.dec.DecodeBytesLen()
	d.note(err)
	if d.err != nil || n <= 0 {
		return nil
	}
	if n > d.src.left() {
		d.fail("%d bytes announced, %d left", n, d.src.left())
		return nil
	}
	b := d.src.data[d.src.at : d.src.at+n : d.src.at+n]
	d.src.at += n
	return b
}

func (d *decoder) string() string {
	b := d.bytes()
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

// end checks that nothing follows the message.
func (d *decoder) end() {
	if d.err == nil && d.src.left() != 0 {
		d.fail("%d bytes after the end", d.src.left())
	}
}

// list reads an array of items.
func list[T any](d *decoder, item func(*decoder) T) []T {
	n := d.array()
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

func writeList[T any](e *encoder, items []T, item func(*encoder, *T)) {
	e.array(len(items))
	for i := range items {
		item(e, &items[i])
	}
}
