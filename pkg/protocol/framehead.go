package protocol

import (
	"encoding/binary"
	"fmt"

	"laneway.dev/pkg/internal/codec"

	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// MaxFrameBytes bounds the length that a compressed frame may declare, in bytes. It is the
// highest max_payload that NATS allows, so no plain frame is longer.
const MaxFrameBytes = 64 << 20

// minRecordBytes is the length of the shortest record in a frame: an array of two nils.
const minRecordBytes = 3

// FrameHead is what a frame says about itself before its records.
type FrameHead struct {
	Compression Compression
	Records     int
	Bytes       int // length of the frame when it is not compressed
}

// ReadFrameHead returns the head of a frame, without decompressing it. The head of a
// compressed frame is what its producer declares, and may be wrong (see CheckFrame). Errors
// wrap ErrMalformed.
func ReadFrameHead(frame []byte) (FrameHead, error) {
	d := codec.Acquire(frame)
	defer d.Release()
	head, _ := readHead(d)
	if head.Compression == CompressionNone {
		head.Bytes = len(frame)
	}
	return head, d.Err()
}

// readHead reads a frame up to its first record, or a compressed frame to its end.
func readHead(d *codec.Decoder) (head FrameHead, block []byte) {
	switch fields, version := d.Array(), d.Uint(); {
	case d.Err() != nil:
	case version == plainVersion && fields == 2:
		return FrameHead{Compression: CompressionNone, Records: d.Array()}, nil
	case version == compressedVersion && fields == 5:
		return readCompressed(d)
	case version != plainVersion && version != compressedVersion:
		d.Fail("batch frame of version %d, this process reads %d and %d", version, plainVersion, compressedVersion)
	default:
		d.Fail("batch frame of version %d with %d fields", version, fields)
	}
	return FrameHead{}, nil
}

func readCompressed(d *codec.Decoder) (head FrameHead, block []byte) {
	name := d.Bytes()
	records, size := d.Uint(), d.Uint()
	block = d.Bytes()
	d.End()
	c := codecOf(name)
	switch {
	case d.Err() != nil:
	case c == CompressionNone:
		d.Fail("the codec %.20q is not known", name)
	case size > MaxFrameBytes:
		d.Fail("a compressed frame of %d bytes when it is decompressed; %d are allowed", size, MaxFrameBytes)
	case records > size/minRecordBytes:
		d.Fail("%d records in a frame of %d bytes", records, size)
	}
	if d.Err() != nil {
		return FrameHead{}, nil
	}
	return FrameHead{Compression: c, Records: int(records), Bytes: int(size)}, block
}

// codecOf returns the codec of a name, or CompressionNone if this version does not have it.
func codecOf(name []byte) Compression {
	for _, c := range Compressions() {
		if string(name) == string(c) {
			return c
		}
	}
	return CompressionNone
}

// readPlainHead reads a decompressed frame up to its first record. It MUST be a plain frame
// with the declared number of records.
func readPlainHead(d *codec.Decoder, records int) {
	head, _ := readHead(d)
	switch {
	case d.Err() != nil:
	case head.Compression != CompressionNone:
		d.Fail("the compressed frame holds another compressed frame")
	case head.Records != records:
		d.Fail("%d records, the compressed frame declares %d", head.Records, records)
	}
}

// CompressFrame appends a plain frame to dst in compressed form. If that form is not shorter,
// or the frame is compressed already, ok is false, and the result has nothing of the frame.
func CompressFrame(dst, frame []byte, c Compression) (compressed []byte, ok bool) {
	head, err := ReadFrameHead(frame)
	if err != nil || head.Compression != CompressionNone || !c.Known() {
		return dst, false
	}
	start := len(dst)
	dst = append(dst, msgpcode.FixedArrayLow|5, compressedVersion)
	dst = appendString(dst, string(c))
	dst = binary.BigEndian.AppendUint32(append(dst, msgpcode.Uint32), uint32(head.Records))
	dst = binary.BigEndian.AppendUint32(append(dst, msgpcode.Uint32), uint32(len(frame)))
	dst = append(dst, msgpcode.Bin32, 0, 0, 0, 0)
	at := len(dst)
	dst = c.Compress(dst, frame)
	if len(dst)-start >= len(frame) {
		return dst[:start], false
	}
	binary.BigEndian.PutUint32(dst[at-4:], uint32(len(dst)-at))
	return dst, true
}

// PlainFrame returns the plain form of a frame: the frame itself, or the decompressed one in
// new memory. Its records are not checked. Errors wrap ErrMalformed.
func PlainFrame(frame []byte) ([]byte, error) {
	d := codec.Acquire(frame)
	defer d.Release()
	head, block := readHead(d)
	if err := d.Err(); err != nil || head.Compression == CompressionNone {
		return frame, err
	}
	plain, err := head.Compression.Decompress(nil, block, head.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return plain, nil
}
