package protocol

import "sync"

// buffers have the memory into which CheckFrame decompresses frames.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// maxBuffer is the size of the largest buffer that is pooled. One huge frame must not keep
// its memory allocated.
const maxBuffer = 1 << 20

// CheckFrame checks a whole frame and returns the number of its records. It returns an
// error of the catalogue for a frame that is malformed or has no records, for a record of
// more than maxRecordBytes, and for headers that Record.CheckHeaders refuses. It decompresses
// a compressed frame, and checks that its head is true.
func CheckFrame(frame []byte, maxRecordBytes int) (int, error) {
	head, err := ReadFrameHead(frame)
	if err != nil {
		return 0, NewError(CodeMalformedBatch, err.Error())
	}
	if head.Compression == CompressionNone {
		return checkFrame(frame, nil, maxRecordBytes)
	}
	buffer := buffers.Get().(*[]byte)
	if cap(*buffer) < head.Bytes {
		*buffer = make([]byte, head.Bytes)
	}
	n, err := checkFrame(frame, *buffer, maxRecordBytes)
	if cap(*buffer) <= maxBuffer {
		buffers.Put(buffer)
	}
	return n, err
}

// checkFrame decompresses into the memory of buf.
func checkFrame(frame, buf []byte, maxRecordBytes int) (int, error) {
	r, err := newFrameReader(frame, buf)
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
