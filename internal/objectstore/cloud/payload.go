package cloud

import (
	"errors"
	"io"
)

// payload reads the parts of an object one after the other, without copying them into one
// buffer. It can be read again after Seek, to compute a hash before the request is sent. It
// belongs to one goroutine.
type payload struct {
	parts  [][]byte
	size   int64
	offset int64    // of the next byte
	rest   [][]byte // parts that are not read completely
	used   int      // bytes of rest[0] that are read

	// later are the parts from the second reading on, if they differ.
	later [][]byte
	read  bool // the payload was read to its end once
}

func newPayload(parts [][]byte) *payload {
	p := &payload{parts: parts, rest: parts}
	for _, part := range parts {
		p.size += int64(len(part))
	}
	return p
}

// newAltered returns a payload that is another one when it is read again. So its hash is wrong,
// as if it had been altered on its way.
func newAltered() *payload {
	p := newPayload([][]byte{[]byte("these bytes are those that were hashed")})
	p.later = [][]byte{[]byte("these bytes are not what was hashed   ")}
	return p
}

// Read implements io.Reader.
func (p *payload) Read(buffer []byte) (int, error) {
	read := 0
	for read < len(buffer) && len(p.rest) > 0 {
		n := copy(buffer[read:], p.rest[0][p.used:])
		read += n
		if p.used += n; p.used == len(p.rest[0]) {
			p.rest, p.used = p.rest[1:], 0
		}
	}
	p.offset += int64(read)
	p.read = p.read || len(p.rest) == 0
	if read == 0 && len(buffer) > 0 {
		return 0, io.EOF
	}
	return read, nil
}

// WriteTo implements io.WriterTo, which spares hashes a buffer.
func (p *payload) WriteTo(w io.Writer) (written int64, err error) {
	for len(p.rest) > 0 {
		n, err := w.Write(p.rest[0][p.used:])
		written, p.offset = written+int64(n), p.offset+int64(n)
		if p.used += n; err != nil {
			return written, err
		}
		p.rest, p.used = p.rest[1:], 0
	}
	p.read = true
	return written, nil
}

// Seek implements io.Seeker.
func (p *payload) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += p.offset
	case io.SeekEnd:
		offset += p.size
	}
	if offset < 0 || offset > p.size {
		return 0, errors.New("seek outside of the object")
	}
	if p.read && p.later != nil {
		p.parts = p.later
	}
	p.offset, p.rest, p.used = offset, p.parts, 0
	for left := offset; left > 0; {
		if first := int64(len(p.rest[0])); left < first {
			p.used, left = int(left), 0
		} else {
			p.rest, left = p.rest[1:], left-first
		}
	}
	return offset, nil
}

// Close implements io.Closer.
func (*payload) Close() error { return nil }
