package objectstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"sync"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

const (
	blockMark          = "LBLK"
	blockHeadFixedSize = 47 // size of a block's head without the topic, the heads of the batches, and the CRC
	minBlockHeadSize   = blockHeadFixedSize + checksumSize
	// maxBlockHeads bounds the heads of the batches of a block, before they are compressed.
	maxBlockHeads    = 1 << 20
	maxBlockHeadSize = minBlockHeadSize + maxNameSize + maxBlockHeads
)

// blockCodecs are the codecs in the order of their numbers in objects, from 1.
var blockCodecs = []protocol.Compression{protocol.CompressionS2, protocol.CompressionZstd}

// Block holds batches of one partition and frontend epoch, compressed together. It is never
// modified, so several objects can contain it.
//
// The heads of the batches are compressed separately from the frames, so they can be read without
// the frames, even if the frames are damaged.
type Block struct {
	head    []byte
	frames  []byte             // compressed
	crc     uint32             // of the compressed frames
	batches []messages.InBlock // where the frame of each batch lies
}

// packing is the scratch memory of Pack.
type packing struct{ heads, frames, compressed []byte }

var packings = sync.Pool{New: func() any { return new(packing) }}

// maxPacking is the size, in bytes, of the largest packing that is pooled.
const maxPacking = 4 << 20

// Pack compresses batches of one partition and frontend epoch. It returns nil if that saves less than
// a tenth of the bytes in the object, or does not make the frames shorter, or if the batches do
// not fit into a block. Pack does not retain the payloads.
func Pack(codec protocol.Compression, batches []Batch) *Block {
	number := slices.Index(blockCodecs, codec) + 1
	if number == 0 || len(batches) == 0 {
		return nil
	}
	p := packings.Get().(*packing)
	block := p.pack(codec, number, batches)
	if cap(p.heads)+cap(p.frames)+cap(p.compressed) <= maxPacking {
		packings.Put(p)
	}
	return block
}

func (p *packing) pack(codec protocol.Compression, number int, batches []Batch) *Block {
	p.heads, p.frames = p.heads[:0], p.frames[:0]
	block := &Block{batches: make([]messages.InBlock, len(batches))}
	plain := 0 // bytes that the batches would take in the object without compression
	for i := range batches {
		b := &batches[i]
		if len(b.Payload) == 0 || checkBatch(b) != nil || len(p.frames)+len(b.Payload) > protocol.MaxFrameBytes {
			return nil
		}
		in := messages.InBlock{Codec: codec, Start: uint32(len(p.frames)), Length: uint32(len(b.Payload)), CRC: Checksum(b.Payload)}
		p.frames = append(p.frames, b.Payload...)
		p.heads = appendBlockedHead(p.heads, b, in)
		plain += headSize(b) + len(b.Payload) + indexEntrySize
		block.batches[i] = in
	}
	if len(p.heads) > maxBlockHeads {
		return nil
	}
	for i := range block.batches {
		block.batches[i].Bytes = uint32(len(p.frames))
	}
	p.compressed = codec.Compress(p.compressed[:0], p.frames)
	if len(p.compressed) >= len(p.frames) {
		return nil
	}
	block.frames, block.crc = bytes.Clone(p.compressed), Checksum(p.compressed)
	p.compressed = codec.Compress(p.compressed[:0], p.heads)
	size := minBlockHeadSize + len(batches[0].Partition.Topic) + len(p.compressed)
	if size > maxBlockHeadSize || 10*(size+len(block.frames)+indexEntrySize) > 9*plain {
		return nil
	}
	block.head = appendBlockHead(make([]byte, 0, size), &blockHead{
		partition: batches[0].Partition, epoch: batches[0].Epoch, number: byte(number),
		batches: uint32(len(batches)), heads: uint32(len(p.heads)), frames: uint32(len(p.frames)),
		length: uint32(len(block.frames)), crc: block.crc, compressed: p.compressed,
	})
	return block
}

// blockHead is the parsed head of a block.
type blockHead struct {
	length, crc   uint32 // of the compressed frames
	number        byte   // of the codec
	batches       uint32
	heads, frames uint32 // their lengths, decompressed
	partition     protocol.Partition
	epoch         uint64
	compressed    []byte // heads of the batches
}

func appendBlockHead(to []byte, h *blockHead) []byte {
	start := len(to)
	to = append(to, blockMark...)
	to = binary.LittleEndian.AppendUint32(to, h.length)
	to = binary.LittleEndian.AppendUint32(to, h.crc)
	to = append(to, h.number)
	to = binary.LittleEndian.AppendUint32(to, h.batches)
	to = binary.LittleEndian.AppendUint32(to, h.heads)
	to = binary.LittleEndian.AppendUint32(to, h.frames)
	to = binary.LittleEndian.AppendUint64(to, h.partition.TopicID)
	to = binary.LittleEndian.AppendUint32(to, uint32(h.partition.Number))
	to = binary.LittleEndian.AppendUint64(to, h.epoch)
	to = binary.LittleEndian.AppendUint16(to, uint16(len(h.partition.Topic)))
	to = append(to, h.partition.Topic...)
	to = append(to, h.compressed...)
	return binary.LittleEndian.AppendUint32(to, Checksum(to[start:]))
}

// readBlockHead parses the head of a block. body is the head without its CRC, and MUST have at
// least blockHeadFixedSize bytes.
func readBlockHead(body []byte) (h blockHead, ok bool) {
	topicEnd := blockHeadFixedSize + int(binary.LittleEndian.Uint16(body[45:]))
	if string(body[:4]) != blockMark || topicEnd > len(body) {
		return h, false
	}
	return blockHead{
		length: binary.LittleEndian.Uint32(body[4:]), crc: binary.LittleEndian.Uint32(body[8:]), number: body[12],
		batches: binary.LittleEndian.Uint32(body[13:]),
		heads:   binary.LittleEndian.Uint32(body[17:]), frames: binary.LittleEndian.Uint32(body[21:]),
		partition: protocol.Partition{
			Topic:   string(body[blockHeadFixedSize:topicEnd]),
			TopicID: binary.LittleEndian.Uint64(body[25:]), Number: int32(binary.LittleEndian.Uint32(body[33:])),
		},
		epoch: binary.LittleEndian.Uint64(body[37:]), compressed: body[topicEnd:],
	}, true
}

// appendBlockedHead appends the head of a batch in a block. The bytes that differ most between
// neighboring batches come first, so that the rest compresses well.
func appendBlockedHead(to []byte, b *Batch, in messages.InBlock) []byte {
	to = binary.LittleEndian.AppendUint32(to, in.CRC)
	for _, v := range []uint64{
		uint64(in.Length), b.Number, uint64(b.Records), uint64(uint32(b.Sequence.First)), uint64(b.Sequence.ProducerID),
		uint64(uint16(b.Sequence.ProducerEpoch)), uint64(len(b.Lane)), uint64(len(b.MessageID)),
	} {
		to = binary.AppendUvarint(to, v)
	}
	to = append(to, b.Lane...)
	return append(to, b.MessageID...)
}

var (
	errBlockHead = errors.New("the head of the block is inconsistent")
	errHeads     = errors.New("the heads of the batches do not match their block")
)

// blocked decompresses the heads of the batches of a block, and returns the batches without
// payloads. stored says where the block is in its object.
func (h *blockHead) blocked(stored messages.Extent) ([]StoredBatch, error) {
	if h.number == 0 || int(h.number) > len(blockCodecs) || h.heads > maxBlockHeads || h.frames > protocol.MaxFrameBytes ||
		h.length >= h.frames || h.batches == 0 || h.batches > h.heads/minBlockedHead {
		return nil, errBlockHead
	}
	codec := blockCodecs[h.number-1]
	heads, err := codec.Decompress(nil, h.compressed, int(h.heads))
	if err != nil {
		return nil, err
	}
	r := headReader{rest: heads}
	batches := make([]StoredBatch, 0, h.batches)
	start := uint64(0)
	for range h.batches {
		b := StoredBatch{Batch: Batch{Partition: h.partition, Epoch: h.epoch}, Extent: stored}
		in := &b.Extent.Block
		in.Codec, in.Bytes, in.CRC = codec, h.frames, r.fixed()
		length := r.number(math.MaxUint32)
		in.Start, in.Length = uint32(start), uint32(length)
		if start += length; length == 0 || start > uint64(h.frames) {
			return nil, errHeads
		}
		b.Number, b.Records = r.number(math.MaxUint64), uint32(r.number(math.MaxUint32))
		b.Sequence.First = int32(uint32(r.number(math.MaxUint32)))
		b.Sequence.ProducerID = int64(r.number(math.MaxUint64))
		b.Sequence.ProducerEpoch = int16(uint16(r.number(math.MaxUint16)))
		lane, id := r.number(maxNameSize), r.number(maxNameSize)
		b.Lane, b.MessageID = r.text(lane), r.text(id)
		batches = append(batches, b)
	}
	if r.failed || len(r.rest) > 0 || start != uint64(h.frames) {
		return nil, errHeads
	}
	return batches, nil
}

// minBlockedHead is the length of the shortest head of a batch in a block.
const minBlockedHead = 4 + 8

// headReader reads the decompressed heads of a block.
type headReader struct {
	rest   []byte
	failed bool
}

func (r *headReader) fixed() uint32 {
	if len(r.rest) < 4 {
		r.failed, r.rest = true, nil
		return 0
	}
	v := binary.LittleEndian.Uint32(r.rest)
	r.rest = r.rest[4:]
	return v
}

func (r *headReader) number(most uint64) uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 || v > most {
		r.failed, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *headReader) text(length uint64) string {
	if uint64(len(r.rest)) < length {
		r.failed, r.rest = true, nil
		return ""
	}
	s := string(r.rest[:length])
	r.rest = r.rest[length:]
	return s
}

// Decompress returns the decompressed block of an extent. content is the stored block, and
// MUST have passed Verify. If it cannot be decompressed, the error is a *CorruptError.
func Decompress(extent messages.Extent, content []byte) ([]byte, error) {
	plain, err := extent.Block.Codec.Decompress(nil, content, int(extent.Block.Bytes))
	if err != nil {
		return nil, corruptExtent(extent, err.Error())
	}
	return plain, nil
}

// Frame returns the frame of an extent from its decompressed block. The frame shares the memory
// of the block. If the frame does not match the extent, the error is a *CorruptError.
func Frame(extent messages.Extent, block []byte) ([]byte, error) {
	start, end := uint64(extent.Block.Start), uint64(extent.Block.Start)+uint64(extent.Block.Length)
	if end > uint64(len(block)) {
		return nil, corruptExtent(extent, "the block is too short")
	}
	frame := block[start:end:end]
	return frame, VerifyFrame(extent, frame)
}
