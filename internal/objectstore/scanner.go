package objectstore

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// scanner is the state of one Scan.
type scanner struct {
	key        string
	object     io.ReaderAt
	size       int64
	payloads   bool          // whether payloads are read and verified
	piece      []byte        // of what a checksum is computed of
	count      uint32        // batches that the trailer promises
	indexStart int64         // where the batches end
	index      *bufio.Reader // entries that are still to come
	at         int64         // where the next batch begins
}

// open checks what frames the batches: header, trailer and index.
func (s *scanner) open() error {
	if s.size < headerSize+trailerSize {
		return s.corrupt(Torn, 0, max(s.size, 0), "too short for an object")
	}
	s.piece = make([]byte, min(s.size, pieceSize))
	if err := s.checkHeader(); err != nil {
		return err
	}
	if err := s.checkTrailer(); err != nil {
		return err
	}
	s.at = headerSize
	entries := int64(s.count) * indexEntrySize
	s.index = bufio.NewReader(io.NewSectionReader(s.object, s.indexStart, entries))
	return nil
}

func (s *scanner) checkHeader() error {
	header := make([]byte, headerSize)
	if err := s.read(header, 0); err != nil {
		return err
	}
	if binary.LittleEndian.Uint32(header[12:]) != Checksum(header[:12]) || string(header[:8]) != headerMagic {
		return s.wrongHeader(string(header[:8]) == headerMagic)
	}
	if version := binary.LittleEndian.Uint32(header[8:]); version != formatVersion {
		return fmt.Errorf("object %q has format version %d, only version %d is known", s.key, version, formatVersion)
	}
	return nil
}

// wrongHeader distinguishes an object with a damaged header from a file that is no object, by
// the magic at its start or end.
func (s *scanner) wrongHeader(magic bool) error {
	end := make([]byte, len(trailerMagic))
	if err := s.read(end, s.size-int64(len(end))); err != nil {
		return err
	}
	if magic || string(end) == trailerMagic {
		return s.corrupt(Header, 0, headerSize, "checksum of the header is wrong")
	}
	return s.corrupt(Foreign, 0, headerSize, "not an object of Laneway")
}

func (s *scanner) checkTrailer() error {
	start := s.size - trailerSize
	trailer := make([]byte, trailerSize)
	if err := s.read(trailer, start); err != nil {
		return err
	}
	if string(trailer[trailerSumOffset+checksumSize:]) != trailerMagic {
		return s.corrupt(Torn, start, trailerSize, "the end of the object is missing")
	}
	if size := binary.LittleEndian.Uint64(trailer[4:]); size != uint64(s.size) {
		return s.corrupt(Index, 0, s.size, fmt.Sprintf("the object should have %d bytes", size))
	}
	s.count = binary.LittleEndian.Uint32(trailer)
	s.indexStart = start - int64(s.count)*indexEntrySize
	if s.indexStart < headerSize {
		return s.corrupt(Index, start, trailerSize, fmt.Sprintf("no room for %d batches", s.count))
	}
	sum, err := s.checksum(s.indexStart, start+trailerSumOffset-s.indexStart)
	if err != nil {
		return err
	}
	if sum != binary.LittleEndian.Uint32(trailer[trailerSumOffset:]) {
		return s.corrupt(Index, s.indexStart, s.size-s.indexStart, "checksum of the index is wrong")
	}
	return nil
}

// next reads and checks the batch of the next index entry. An error with an extent concerns
// only this batch, and next can be called again.
func (s *scanner) next() (StoredBatch, error) {
	entry, err := s.nextEntry()
	if err != nil {
		return StoredBatch{}, err
	}
	head := make([]byte, entry.headLength)
	if err := s.read(head, s.at); err != nil {
		return StoredBatch{}, err
	}
	batch, err := s.decodeHead(head, entry)
	batch.Extent = messages.Extent{
		Key: s.key, Offset: s.at + int64(len(head)), Length: int64(entry.payloadLength), CRC: entry.payloadCRC,
	}
	s.at = batch.Extent.Offset + batch.Extent.Length
	if err != nil || !s.payloads {
		return batch, err
	}
	sum, err := s.checksum(batch.Extent.Offset, batch.Extent.Length)
	if err != nil {
		return StoredBatch{}, err
	}
	return batch, compareChecksum(batch.Extent, sum)
}

// nextEntry returns the next entry of the index, which describes a batch that
// begins where the one before ended and lies before the index.
func (s *scanner) nextEntry() (indexEntry, error) {
	var raw [indexEntrySize]byte
	if _, err := io.ReadFull(s.index, raw[:]); err != nil {
		return indexEntry{}, fmt.Errorf("read index of object %q: %w", s.key, err)
	}
	entry := indexEntry{
		offset:        binary.LittleEndian.Uint64(raw[0:]),
		headLength:    binary.LittleEndian.Uint32(raw[8:]),
		payloadLength: binary.LittleEndian.Uint32(raw[12:]),
		payloadCRC:    binary.LittleEndian.Uint32(raw[16:]),
	}
	length := int64(entry.headLength) + int64(entry.payloadLength)
	if entry.offset != uint64(s.at) || entry.headLength < minHeadSize || entry.headLength > maxHeadSize ||
		length > s.indexStart-s.at {
		return indexEntry{}, s.corrupt(Index, s.at, s.indexStart-s.at, "the index does not fit the batches")
	}
	return entry, nil
}

// decodeHead checks the head of a batch against its entry in the index.
func (s *scanner) decodeHead(head []byte, entry indexEntry) (b StoredBatch, err error) {
	body := head[:len(head)-checksumSize]
	if binary.LittleEndian.Uint32(head[len(body):]) != Checksum(body) {
		return b, s.corrupt(Head, s.at, int64(len(head)), "checksum of the head is wrong")
	}
	topicEnd := headFixedSize + int(binary.LittleEndian.Uint16(body[58:]))
	laneEnd := topicEnd + int(binary.LittleEndian.Uint16(body[60:]))
	messageIDEnd := laneEnd + int(binary.LittleEndian.Uint16(body[62:]))
	if string(body[:4]) != batchMark || messageIDEnd != len(body) ||
		binary.LittleEndian.Uint32(body[4:]) != entry.payloadLength ||
		binary.LittleEndian.Uint32(body[8:]) != entry.payloadCRC {
		return b, s.corrupt(Head, s.at, int64(len(head)), "the head does not fit the index")
	}
	b.Batch = Batch{
		Partition: protocol.Partition{
			Topic:   string(body[headFixedSize:topicEnd]),
			TopicID: binary.LittleEndian.Uint64(body[12:]),
			Number:  int32(binary.LittleEndian.Uint32(body[20:])),
		},
		Epoch: binary.LittleEndian.Uint64(body[24:]),
		Batch: messages.Batch{
			Ticket:  messages.Ticket{Lane: string(body[topicEnd:laneEnd]), Number: binary.LittleEndian.Uint64(body[32:])},
			Records: binary.LittleEndian.Uint32(body[40:]),
			Sequence: messages.Sequence{
				First:         int32(binary.LittleEndian.Uint32(body[44:])),
				ProducerID:    int64(binary.LittleEndian.Uint64(body[48:])),
				ProducerEpoch: int16(binary.LittleEndian.Uint16(body[56:])),
			},
			MessageID: string(body[laneEnd:]),
		},
	}
	return b, nil
}

// read fills the buffer from the offset on.
func (s *scanner) read(buffer []byte, offset int64) error {
	n, err := s.object.ReadAt(buffer, offset)
	switch {
	case n == len(buffer):
		return nil
	case err == nil, errors.Is(err, io.EOF):
		return s.corrupt(Torn, offset, int64(len(buffer)), fmt.Sprintf("only %d bytes are there", n))
	default:
		return fmt.Errorf("read object %q at offset %d, length %d: %w", s.key, offset, len(buffer), err)
	}
}

// pieceSize bounds the memory that a checksum takes, in bytes.
const pieceSize = 32 << 10

// checksum returns the CRC-32C of a range without holding it in memory.
func (s *scanner) checksum(offset, length int64) (sum uint32, err error) {
	for length > 0 {
		piece := s.piece[:min(length, int64(len(s.piece)))]
		if err := s.read(piece, offset); err != nil {
			return 0, err
		}
		sum = crc32.Update(sum, castagnoli, piece)
		offset, length = offset+int64(len(piece)), length-int64(len(piece))
	}
	return sum, nil
}

func (s *scanner) corrupt(damage Damage, offset, length int64, reason string) error {
	return &CorruptError{Damage: damage, Key: s.key, Offset: offset, Length: length, Reason: reason}
}
