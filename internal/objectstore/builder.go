package objectstore

import (
	"fmt"
	"math"

	"laneway.dev/pkg/messages"
)

// headChunk is the size of the chunks of memory for the heads of batches, in bytes.
const headChunk = 4 << 10

// Builder builds one object. It does not copy payloads: the parts refer to them, so the caller
// MUST NOT modify a payload until the object is stored. A Builder belongs to one goroutine.
type Builder struct {
	key   string
	size  int64    // bytes of parts
	parts [][]byte // header, then head and payload of each batch and block
	index []byte   // entries of the batches and blocks
	count uint32
	heads []byte // free memory for heads; parts refer to what is used of it
}

// NewBuilder returns a Builder for the object with a key.
func NewBuilder(key string) *Builder {
	builder := &Builder{key: key}
	builder.append(appendHeader(builder.reserve(headerSize)))
	return builder
}

// Add appends a batch to the object and returns the extent of its payload. It fails, and
// changes nothing, if the topic, the lane or the message id is longer than 65,535 bytes, or
// the payload is longer than 4 GiB.
func (b *Builder) Add(batch Batch) (messages.Extent, error) {
	if err := checkBatch(&batch); err != nil {
		return messages.Extent{}, fmt.Errorf("add batch of %s, lane %.64q, ticket %d to object %q: %w",
			batch.Partition, batch.Lane, batch.Number, b.key, err)
	}
	sum := Checksum(batch.Payload)
	start, length := b.size, headSize(&batch)
	b.append(appendHead(b.reserve(length), &batch, sum))
	extent := messages.Extent{Key: b.key, Offset: b.size, Length: int64(len(batch.Payload)), CRC: sum}
	b.append(batch.Payload)
	b.index = appendIndexEntry(b.index, indexEntry{
		offset: uint64(start), headLength: uint32(length), payloadLength: uint32(len(batch.Payload)), payloadCRC: sum,
	})
	b.count++
	return extent, nil
}

// AddBlock appends a block to the object and returns the extents of its batches.
func (b *Builder) AddBlock(block *Block) []messages.Extent {
	start := b.size
	b.append(block.head)
	extents := make([]messages.Extent, len(block.batches))
	for i, in := range block.batches {
		extents[i] = messages.Extent{Key: b.key, Offset: b.size, Length: int64(len(block.frames)), CRC: block.crc, Block: in}
	}
	b.append(block.frames)
	b.index = appendIndexEntry(b.index, indexEntry{
		offset: uint64(start), headLength: uint32(len(block.head)), payloadLength: uint32(len(block.frames)), payloadCRC: block.crc,
	})
	b.count++
	return extents
}

func checkBatch(batch *Batch) error {
	switch {
	case len(batch.Partition.Topic) > maxNameSize:
		return fmt.Errorf("topic of %d bytes is too long", len(batch.Partition.Topic))
	case len(batch.Lane) > maxNameSize:
		return fmt.Errorf("lane of %d bytes is too long", len(batch.Lane))
	case len(batch.MessageID) > maxNameSize:
		return fmt.Errorf("message id of %d bytes is too long", len(batch.MessageID))
	case uint64(len(batch.Payload)) > math.MaxUint32:
		return fmt.Errorf("payload of %d bytes is too long", len(batch.Payload))
	}
	return nil
}

// Size returns the size of the object with the batches added so far, in bytes.
func (b *Builder) Size() int64 { return b.size + int64(len(b.index)) + trailerSize }

// Parts returns the whole object as the list of parts for Store.Put; their total
// is Size.
func (b *Builder) Parts() [][]byte {
	footer := append(make([]byte, 0, len(b.index)+trailerSize), b.index...)
	parts := append(make([][]byte, 0, len(b.parts)+1), b.parts...)
	return append(parts, appendTrailer(footer, b.count, b.Size()))
}

func (b *Builder) append(part []byte) {
	b.parts = append(b.parts, part)
	b.size += int64(len(part))
}

// reserve returns an empty slice with room for exactly n bytes. Memory is taken
// in chunks, because an object may have a thousand heads of a few dozen bytes.
func (b *Builder) reserve(n int) []byte {
	if len(b.heads) < n {
		b.heads = make([]byte, max(n, headChunk))
	}
	room := b.heads[:0:n]
	b.heads = b.heads[n:]
	return room
}
