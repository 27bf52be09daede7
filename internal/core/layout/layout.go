// Package layout has what the formats of segments and manifests share: numbers of fixed width,
// texts, the identity of a partition, and checksums. It is pure.
//
// Numbers are little-endian. Errors about bytes that are not what was written wrap
// protocol.ErrMalformed. ErrVersion is the only other error.
package layout

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"

	"laneway.dev/pkg/protocol"
)

// ErrVersion means that an object is intact, but has a version of its format that this process
// does not know. It is no damage: a later release reads the object.
var ErrVersion = errors.New("the format has another version")

// CheckVersion returns an error that wraps ErrVersion if the two versions differ.
func CheckVersion(got, known uint32) error {
	if got != known {
		return fmt.Errorf("%w: the object has version %d, this process reads %d", ErrVersion, got, known)
	}
	return nil
}

// Malformed returns an error that wraps protocol.ErrMalformed.
func Malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", protocol.ErrMalformed, fmt.Sprintf(format, args...))
}

// SumSize is the length of a checksum in bytes.
const SumSize = 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Sum returns the CRC-32C of data.
func Sum(data []byte) uint32 { return crc32.Checksum(data, castagnoli) }

// AppendSum appends the CRC-32C of to[start:].
func AppendSum(to []byte, start int) []byte {
	return binary.LittleEndian.AppendUint32(to, Sum(to[start:]))
}

// CutSum returns data without the checksum at its end. If the checksum is wrong, the error says
// so about the part that what names.
func CutSum(what string, data []byte) ([]byte, error) {
	n := len(data) - SumSize
	if n < 0 {
		return nil, Malformed("%s of %d bytes", what, len(data))
	}
	if got, want := Sum(data[:n]), binary.LittleEndian.Uint32(data[n:]); got != want {
		return nil, Malformed("the CRC-32C of %s is %08x, should be %08x", what, got, want)
	}
	return data[:n:n], nil
}

// MaxText is the length of the longest text in bytes.
const MaxText = math.MaxUint16

// AppendText appends a text that has at most MaxText bytes, after its length.
func AppendText(to []byte, text string) []byte {
	return append(binary.LittleEndian.AppendUint16(to, uint16(len(text))), text...)
}

// AppendPartition appends the identity of a partition.
func AppendPartition(to []byte, id protocol.Partition) []byte {
	to = binary.LittleEndian.AppendUint64(to, id.TopicID)
	to = binary.LittleEndian.AppendUint32(to, uint32(id.Number))
	to = binary.LittleEndian.AppendUint32(to, id.Incarnation)
	return AppendText(to, id.Topic)
}

// Reader reads values one after the other. After a failure, and beyond the end, all values are
// zero, so callers check once.
type Reader struct {
	rest []byte
	err  error
}

// NewReader returns a Reader of data.
func NewReader(data []byte) *Reader { return &Reader{rest: data} }

// Left returns the number of bytes that were not read.
func (r *Reader) Left() int { return len(r.rest) }

// Err returns the first failure, or nil.
func (r *Reader) Err() error { return r.err }

// Fail records a failure, unless there is one.
func (r *Reader) Fail(format string, args ...any) {
	if r.err == nil {
		r.err, r.rest = Malformed(format, args...), nil
	}
}

// End returns the first failure. Bytes that were not read are one.
func (r *Reader) End() error {
	if len(r.rest) > 0 {
		r.Fail("%d bytes after the end", len(r.rest))
	}
	return r.err
}

// Bytes reads n bytes; they are not copied.
func (r *Reader) Bytes(n int) []byte {
	if n > len(r.rest) {
		r.Fail("%d bytes are expected, %d are left", n, len(r.rest))
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

// Uint16 reads an integer of 16 bits.
func (r *Reader) Uint16() uint16 {
	if b := r.Bytes(2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

// Uint32 reads an integer of 32 bits.
func (r *Reader) Uint32() uint32 {
	if b := r.Bytes(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

// Uint64 reads an integer of 64 bits.
func (r *Reader) Uint64() uint64 {
	if b := r.Bytes(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// Int64 reads a signed integer.
func (r *Reader) Int64() int64 { return int64(r.Uint64()) }

// Natural reads a signed integer that must not be negative.
func (r *Reader) Natural() int64 {
	v := r.Int64()
	if v < 0 {
		r.Fail("%d is negative", v)
		return 0
	}
	return v
}

// Uvarint reads an integer of variable length.
func (r *Reader) Uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.Fail("no number")
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// Text reads a text; it is copied.
func (r *Reader) Text() string { return string(r.Bytes(int(r.Uint16()))) }

// Count reads the number of the items that follow, each of which has at least size bytes. A
// number that does not fit what is left is a failure, so callers may allocate that many items.
func (r *Reader) Count(size int) int {
	n := r.Uint32()
	if int64(n) > int64(len(r.rest)/size) {
		r.Fail("%d items in %d bytes", n, len(r.rest))
		return 0
	}
	return int(n)
}

// Partition reads the identity of a partition.
func (r *Reader) Partition() protocol.Partition {
	id := protocol.Partition{TopicID: r.Uint64(), Number: int32(r.Uint32()), Incarnation: r.Uint32()}
	id.Topic = r.Text()
	if id.Number < 0 {
		r.Fail("partition %d", id.Number)
	}
	return id
}
