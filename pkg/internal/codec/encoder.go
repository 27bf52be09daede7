// Package codec reads and writes msgpack the way Laneway's formats use it: values in a
// fixed order, without maps. Decoding never panics, allocates no more than the input
// justifies, and does not copy byte slices: they alias the buffer that is decoded.
//
// Encoders and decoders belong to one goroutine.
package codec

import (
	"bytes"
	"fmt"
	"sync"

	"github.com/vmihailenco/msgpack/v5"
)

// Encoder writes msgpack into a buffer of its own. Writing to memory cannot
// fail, so the errors of the msgpack encoder are kept only as a guard.
type Encoder struct {
	buf bytes.Buffer
	enc *msgpack.Encoder
	err error
}

var encoders = sync.Pool{New: func() any {
	e := &Encoder{}
	e.enc = msgpack.NewEncoder(&e.buf)
	return e
}}

// EncodeFor runs write on a pooled encoder, and passes the result to use, which MUST
// NOT keep it. The encoder is pooled because large messages need large buffers.
func EncodeFor(sizeHint int, write func(*Encoder), use func([]byte)) {
	e := encoders.Get().(*Encoder)
	e.buf.Reset()
	e.buf.Grow(sizeHint)
	e.err = nil
	write(e)
	if e.err != nil {
		// bytes.Buffer only fails by running out of memory, which panics by itself.
		panic(fmt.Sprintf("codec: encoding to memory failed: %v", e.err))
	}
	use(e.buf.Bytes())
	const keep = 4 << 20
	if e.buf.Cap() <= keep {
		encoders.Put(e)
	}
}

// Encode returns what write wrote.
func Encode(sizeHint int, write func(*Encoder)) (out []byte) {
	EncodeFor(sizeHint, write, func(data []byte) { out = bytes.Clone(data) })
	return out
}

// Len returns the number of bytes that were written so far.
func (e *Encoder) Len() int { return e.buf.Len() }

func (e *Encoder) note(err error) {
	if e.err == nil {
		e.err = err
	}
}

// Array starts an array of n values, which the caller writes next.
func (e *Encoder) Array(n int) { e.note(e.enc.EncodeArrayLen(n)) }

// Uint writes an integer that is not negative.
func (e *Encoder) Uint(v uint64) { e.note(e.enc.EncodeUint(v)) }

// Int writes an integer.
func (e *Encoder) Int(v int64) { e.note(e.enc.EncodeInt(v)) }

// Text writes a string.
func (e *Encoder) Text(s string) { e.note(e.enc.EncodeString(s)) }

// Bool writes a truth value.
func (e *Encoder) Bool(b bool) { e.note(e.enc.EncodeBool(b)) }

// Bytes writes b without handing it to the encoder's string path; nil is an empty value.
func (e *Encoder) Bytes(b []byte) {
	e.note(e.enc.EncodeBytesLen(len(b)))
	_, err := e.buf.Write(b)
	e.note(err)
}

// WriteList writes an array of items.
func WriteList[T any](e *Encoder, items []T, item func(*Encoder, *T)) {
	e.Array(len(items))
	for i := range items {
		item(e, &items[i])
	}
}
