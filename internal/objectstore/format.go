package objectstore

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

const (
	headerMagic  = "LANEWAYO"
	trailerMagic = "LANEWAYE"
	batchMark    = "LBAT"

	formatVersion = 3

	headerSize     = 16
	headFixedSize  = 64 // head without topic, lane, message id and CRC
	checksumSize   = 4
	minHeadSize    = headFixedSize + checksumSize
	maxNameSize    = 1<<16 - 1
	maxHeadSize    = minHeadSize + 3*maxNameSize
	indexEntrySize = 20
	trailerSize    = 24

	trailerSumOffset = 12 // in the trailer
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Checksum returns the CRC-32C of a payload, as extents carry it.
func Checksum(payload []byte) uint32 { return crc32.Checksum(payload, castagnoli) }

// Verify checks content against the extent that it was read from. Anything
// that differs is a *CorruptError with the extent's key and range.
func Verify(extent messages.Extent, content []byte) error {
	if int64(len(content)) != extent.Length {
		return corruptExtent(extent, fmt.Sprintf("got %d bytes", len(content)))
	}
	return compareChecksum(extent, Checksum(content), extent.CRC)
}

// VerifyFrame checks a batch frame against its extent. It is Verify, except for a frame in a
// compressed block.
func VerifyFrame(extent messages.Extent, frame []byte) error {
	if int64(len(frame)) != extent.FrameLength() {
		return corruptExtent(extent, fmt.Sprintf("got a frame of %d bytes, should be %d", len(frame), extent.FrameLength()))
	}
	return compareChecksum(extent, Checksum(frame), extent.FrameCRC())
}

func compareChecksum(extent messages.Extent, got, want uint32) error {
	if got != want {
		return corruptExtent(extent, fmt.Sprintf("CRC-32C is %08x, should be %08x", got, want))
	}
	return nil
}

func corruptExtent(extent messages.Extent, reason string) error {
	return &CorruptError{Damage: Payload, Key: extent.Key, Offset: extent.Offset, Length: extent.Length, Reason: reason}
}

// Batch is one batch of an object, with everything that is needed to send it again if the
// log has lost it. The floor is not stored: it is a property of the message, not of the
// batch.
type Batch struct {
	messages.Batch
	Partition protocol.Partition
	Epoch     uint64 // frontend epoch of the ticket
	Payload   []byte // the batch frame
}

// indexEntry is what the index says about one batch or block. The payload of a block are its
// compressed frames.
type indexEntry struct {
	offset        uint64 // of the head
	headLength    uint32
	payloadLength uint32
	payloadCRC    uint32
}

func appendHeader(to []byte) []byte {
	start := len(to)
	to = append(to, headerMagic...)
	to = binary.LittleEndian.AppendUint32(to, formatVersion)
	return binary.LittleEndian.AppendUint32(to, Checksum(to[start:]))
}

func headSize(batch *Batch) int {
	return minHeadSize + len(batch.Partition.Topic) + len(batch.Lane) + len(batch.MessageID)
}

func appendHead(to []byte, batch *Batch, payloadCRC uint32) []byte {
	start := len(to)
	to = append(to, batchMark...)
	to = binary.LittleEndian.AppendUint32(to, uint32(len(batch.Payload)))
	to = binary.LittleEndian.AppendUint32(to, payloadCRC)
	to = binary.LittleEndian.AppendUint64(to, batch.Partition.TopicID)
	to = binary.LittleEndian.AppendUint32(to, uint32(batch.Partition.Number))
	to = binary.LittleEndian.AppendUint64(to, batch.Epoch)
	to = binary.LittleEndian.AppendUint64(to, batch.Number)
	to = binary.LittleEndian.AppendUint32(to, batch.Records)
	to = binary.LittleEndian.AppendUint32(to, uint32(batch.Sequence.First))
	to = binary.LittleEndian.AppendUint64(to, uint64(batch.Sequence.ProducerID))
	to = binary.LittleEndian.AppendUint16(to, uint16(batch.Sequence.ProducerEpoch))
	to = binary.LittleEndian.AppendUint16(to, uint16(len(batch.Partition.Topic)))
	to = binary.LittleEndian.AppendUint16(to, uint16(len(batch.Lane)))
	to = binary.LittleEndian.AppendUint16(to, uint16(len(batch.MessageID)))
	to = append(to, batch.Partition.Topic...)
	to = append(to, batch.Lane...)
	to = append(to, batch.MessageID...)
	return binary.LittleEndian.AppendUint32(to, Checksum(to[start:]))
}

func appendIndexEntry(to []byte, entry indexEntry) []byte {
	to = binary.LittleEndian.AppendUint64(to, entry.offset)
	to = binary.LittleEndian.AppendUint32(to, entry.headLength)
	to = binary.LittleEndian.AppendUint32(to, entry.payloadLength)
	return binary.LittleEndian.AppendUint32(to, entry.payloadCRC)
}

// appendTrailer appends the trailer to the index, which begins the slice.
func appendTrailer(index []byte, count uint32, size int64) []byte {
	index = binary.LittleEndian.AppendUint32(index, count)
	index = binary.LittleEndian.AppendUint64(index, uint64(size))
	index = binary.LittleEndian.AppendUint32(index, Checksum(index))
	return append(index, trailerMagic...)
}
