package codec

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"github.com/vmihailenco/msgpack/v5"
)

// sizes are around those at which the encoded form of an integer or a length changes.
var sizes = []uint64{
	0, 1, 15, 16, 31, 32, 127, 128, 255, 256, math.MaxUint16, math.MaxUint16 + 1, math.MaxInt32, math.MaxUint32, math.MaxUint32 + 1, math.MaxInt64, math.MaxInt64 + 1, math.MaxUint64,
}

// forms returns values in the form of the msgpack encoder, and as this encoder writes them.
func forms(theirs func(*msgpack.Encoder) error, ours func(*Encoder)) (want, got []byte) {
	var buf bytes.Buffer
	if err := theirs(msgpack.NewEncoder(&buf)); err != nil {
		panic(err)
	}
	return buf.Bytes(), Encode(0, ours)
}

// same checks that data is encoded as by the msgpack encoder, that it is read, and that nothing is read
// of it once the last byte is missing.
func same[T comparable](t *testing.T, v T, theirs func(*msgpack.Encoder) error, ours func(*Encoder), read func(*Decoder) T) {
	t.Helper()
	want, data := forms(theirs, ours)
	if !bytes.Equal(want, data) {
		t.Errorf("%T is encoded as % x, want % x", v, data[:min(len(data), 9)], want[:min(len(want), 9)])
	}
	d := Acquire(data)
	defer d.Release()
	got := read(d)
	if d.End(); got != v || d.Err() != nil {
		t.Errorf("% x is read as %v, want %v: %v", data[:min(len(data), 9)], got, v, d.Err())
	}
	short := Acquire(data[:len(data)-1])
	defer short.Release()
	var zero T
	if got := read(short); got != zero || short.Err() == nil {
		t.Errorf("% x without its last byte is read as %v: %v", data[:min(len(data), 9)], got, short.Err())
	}
}

func TestValuesHaveTheFormOfMsgpack(t *testing.T) {
	for _, n := range sizes {
		same(t, n, func(e *msgpack.Encoder) error { return e.EncodeUint(n) }, func(e *Encoder) { e.Uint(n) }, (*Decoder).Uint)
		for _, i := range []int64{int64(n), -int64(n)} {
			same(t, i, func(e *msgpack.Encoder) error { return e.EncodeInt(i) }, func(e *Encoder) { e.Int(i) }, (*Decoder).Int)
		}
		if n > math.MaxUint16+1 {
			continue
		}
		s := strings.Repeat("x", int(n))
		same(t, s, func(e *msgpack.Encoder) error { return e.EncodeString(s) }, func(e *Encoder) { e.Text(s) }, (*Decoder).Text)
		same(t, s, func(e *msgpack.Encoder) error { return e.EncodeBytes([]byte(s)) }, func(e *Encoder) { e.Bytes([]byte(s)) },
			func(d *Decoder) string { return string(d.Bytes()) })
		items := make([]uint64, n)
		theirs := func(e *msgpack.Encoder) error {
			err := e.EncodeArrayLen(len(items))
			for range items {
				err = e.EncodeUint(0)
			}
			return err
		}
		same(t, len(items), theirs, func(e *Encoder) { WriteList(e, items, func(e *Encoder, v *uint64) { e.Uint(*v) }) },
			func(d *Decoder) int { return len(List(d, (*Decoder).Uint)) })
	}
}

func TestIntegersKeepTheirSign(t *testing.T) {
	large := Acquire(Encode(0, func(e *Encoder) { e.Uint(math.MaxInt64 + 1) }))
	defer large.Release()
	if got := large.Int(); got != 0 || large.Err() == nil {
		t.Errorf("an integer beyond the largest int64 is read as %d: %v", got, large.Err())
	}
	negative := Acquire(Encode(0, func(e *Encoder) { e.Int(-1) }))
	defer negative.Release()
	if got := negative.Uint(); got != 0 || negative.Err() == nil {
		t.Errorf("-1 is read as %d: %v", got, negative.Err())
	}
}
