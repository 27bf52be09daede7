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
	reread     func()        // makes the object be read again; nil if that is of no use
	piece      []byte        // of what a checksum is computed of
	count      uint32        // batches and blocks that the trailer promises
	indexStart int64         // where the batches end
	index      *bufio.Reader // entries that are still to come
	entries    int64         // of the index that were read
	at         int64         // where the next batch begins
}

// patiently repeats a step that finds the object damaged, because bits may have flipped in
// transit. Each step reads everything that it judges.
func (s *scanner) patiently(step func() error) error {
	for reads := 1; ; reads++ {
		err := step()
		corrupt, ok := errors.AsType[*CorruptError](err)
		if !ok || corrupt.Damage == Payload || s.reread == nil || reads == Reads {
			return err
		}
		s.reread()
	}
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
	s.openIndex()
	return nil
}

// openIndex makes the index be read from the next entry on.
func (s *scanner) openIndex() {
	read := s.entries * indexEntrySize
	s.index = bufio.NewReader(io.NewSectionReader(s.object, s.indexStart+read, int64(s.count)*indexEntrySize-read))
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
		return s.corrupt(Index, start, trailerSize, fmt.Sprintf("no room for %d batches or blocks", s.count))
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

// next reads and checks the batch, or the batches of the block, of the next index entry. An
// error with batches concerns only these, and next can be called again.
func (s *scanner) next() (batches []StoredBatch, err error) {
	from, reads := s.at, 0
	err = s.patiently(func() error {
		if reads++; reads > 1 {
			s.at = from
			s.openIndex() // the entry may be what was altered
		}
		batches, err = s.readEntry()
		return err
	})
	s.entries++
	return batches, err
}

// readEntry is one attempt of next.
func (s *scanner) readEntry() ([]StoredBatch, error) {
	entry, err := s.nextEntry()
	if err != nil {
		return nil, err
	}
	head := make([]byte, entry.headLength)
	if err := s.read(head, s.at); err != nil {
		return nil, err
	}
	extent := messages.Extent{
		Key: s.key, Offset: s.at + int64(len(head)), Length: int64(entry.payloadLength), CRC: entry.payloadCRC,
	}
	batches, err := s.decodeHead(head, entry, extent)
	s.at = extent.Offset + extent.Length
	switch {
	case err != nil:
		return []StoredBatch{{Extent: extent}}, err
	case !s.payloads:
		return batches, nil
	case batches[0].Extent.Compressed():
		damage, err := s.checkBlock(batches)
		if err != nil {
			return nil, err
		}
		return batches, damage
	}
	sum, err := s.checksum(extent.Offset, extent.Length)
	if err != nil {
		return nil, err
	}
	return batches, compareChecksum(extent, sum, extent.CRC)
}

// checkBlock reads and verifies the frames of a block. err is not about its content.
func (s *scanner) checkBlock(batches []StoredBatch) (damage, err error) {
	stored := batches[0].Extent
	content := make([]byte, stored.Length)
	if err := s.read(content, stored.Offset); err != nil {
		return nil, err
	}
	if damage := Verify(stored, content); damage != nil {
		return damage, nil
	}
	plain, damage := Decompress(stored, content)
	for i := 0; i < len(batches) && damage == nil; i++ {
		_, damage = Frame(batches[i].Extent, plain)
	}
	return damage, nil
}

// nextEntry returns the next entry of the index, which describes a batch or block that
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
	if entry.offset != uint64(s.at) || entry.headLength < min(minHeadSize, minBlockHeadSize) ||
		entry.headLength > max(maxHeadSize, maxBlockHeadSize) || length > s.indexStart-s.at {
		return indexEntry{}, s.corrupt(Index, s.at, s.indexStart-s.at, "the index does not fit the batches")
	}
	return entry, nil
}

// decodeHead checks the head of a batch or block against its entry in the index. extent is
// that of the payload.
func (s *scanner) decodeHead(head []byte, entry indexEntry, extent messages.Extent) ([]StoredBatch, error) {
	body := head[:len(head)-checksumSize]
	if binary.LittleEndian.Uint32(head[len(body):]) != Checksum(body) {
		return nil, s.corrupt(Head, s.at, int64(len(head)), "checksum of the head is wrong")
	}
	if string(body[:4]) == blockMark {
		h, ok := readBlockHead(body)
		if !ok || h.length != entry.payloadLength || h.crc != entry.payloadCRC {
			return nil, s.corrupt(Head, s.at, int64(len(head)), "the head does not fit the index")
		}
		batches, err := h.blocked(extent)
		if err != nil {
			return nil, s.corrupt(Head, s.at, int64(len(head)), err.Error())
		}
		return batches, nil
	}
	b := StoredBatch{Extent: extent}
	if len(head) < minHeadSize {
		return nil, s.corrupt(Head, s.at, int64(len(head)), "the head does not fit the index")
	}
	topicEnd := headFixedSize + int(binary.LittleEndian.Uint16(body[58:]))
	laneEnd := topicEnd + int(binary.LittleEndian.Uint16(body[60:]))
	messageIDEnd := laneEnd + int(binary.LittleEndian.Uint16(body[62:]))
	if string(body[:4]) != batchMark || messageIDEnd != len(body) ||
		binary.LittleEndian.Uint32(body[4:]) != entry.payloadLength ||
		binary.LittleEndian.Uint32(body[8:]) != entry.payloadCRC {
		return nil, s.corrupt(Head, s.at, int64(len(head)), "the head does not fit the index")
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
	return []StoredBatch{b}, nil
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
