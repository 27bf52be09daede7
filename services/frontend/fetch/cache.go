package fetch

import (
	"bytes"
	"time"
	"unsafe"

	"github.com/maypok86/otter/v2"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

const (
	// overhead is the memory of a cache item without its content, in bytes: its node and its
	// slots in the tables of the cache. memory_test.go measures it.
	overhead = 256
	// placeholderSize is the memory of a batch of an entry without its strings.
	placeholderSize = int(unsafe.Sizeof(messages.Placeholder{}))
	// stringOverhead is the approximate memory of a string without its bytes.
	stringOverhead = 16
	// copyBelow is the size below which payloads are copied. A payload may be a slice of a
	// message, and would keep all of it in memory. For larger payloads the rest is small.
	copyBelow = 4 << 10
)

// entryKey names an entry of a log of one incarnation of a topic.
type entryKey struct {
	topicID  uint64
	number   int32
	sequence uint64
}

// entryCache keeps log entries. It is safe for concurrent use; entries are not
// changed once they are in it.
type entryCache struct {
	cache *otter.Cache[entryKey, messages.LoggedEntry]
}

func newEntryCache(limit int64) *entryCache {
	return &entryCache{otter.Must(&otter.Options[entryKey, messages.LoggedEntry]{
		MaximumWeight: uint64(max(limit, 1)),
		Weigher:       func(_ entryKey, logged messages.LoggedEntry) uint32 { return weighEntry(&logged.Entry) },
	})}
}

// weighEntry returns the memory of an entry in bytes. Neighboring batches share the strings
// of their lanes and objects, which are counted once.
func weighEntry(entry *messages.Entry) uint32 {
	weight := overhead + len(entry.Owner) + cap(entry.Fences)*int(unsafe.Sizeof(messages.LoggedFence{}))
	for i := range entry.Fences {
		weight += len(entry.Fences[i].Name) + stringOverhead
	}
	for i := range entry.Refused {
		r := &entry.Refused[i]
		weight += int(unsafe.Sizeof(*r)) + len(r.Lane) + stringOverhead + cap(r.Numbers)*int(unsafe.Sizeof(uint64(0)))
	}
	var lane, key string
	for i := range entry.Batches {
		b := &entry.Batches[i]
		weight += placeholderSize + len(b.MessageID) + len(b.Inline)
		if b.Lane != lane {
			lane, weight = b.Lane, weight+len(b.Lane)+stringOverhead
		}
		if b.Extent.Key != key {
			key, weight = b.Extent.Key, weight+len(b.Extent.Key)+stringOverhead
		}
	}
	return uint32(weight)
}

func (c *entryCache) put(p protocol.Partition, logged messages.LoggedEntry) {
	c.cache.Set(entryKey{p.TopicID, p.Number, logged.Sequence}, logged)
}

// clear removes all entries. After a server has lost the end of a log, the log may have
// other entries with the same sequences.
func (c *entryCache) clear() { c.cache.InvalidateAll() }

func (c *entryCache) get(p protocol.Partition, sequence uint64) (messages.LoggedEntry, bool) {
	return c.cache.GetIfPresent(entryKey{p.TopicID, p.Number, sequence})
}

// payloadKey identifies an extent by the start of its frame, since frames do not overlap.
type payloadKey struct {
	object string
	offset int64
	start  uint32 // in the block
}

func keyOf(x messages.Extent) payloadKey { return payloadKey{x.Key, x.Offset, x.Block.Start} }

type payload struct {
	extent messages.Extent
	bytes  []byte
}

// payloadCache keeps the payloads of recent batches. Payloads that were read from the store
// are not added: one reader of old records would evict the recent ones that all readers at
// the end share. It is safe for concurrent use.
type payloadCache struct {
	cache *otter.Cache[payloadKey, payload]
}

func newPayloadCache(limit int64) *payloadCache {
	return &payloadCache{otter.Must(&otter.Options[payloadKey, payload]{
		MaximumWeight: uint64(max(limit, 1)),
		Weigher: func(_ payloadKey, p payload) uint32 {
			return uint32(cap(p.bytes) + len(p.extent.Key) + stringOverhead + overhead)
		},
	})}
}

func (c *payloadCache) put(extent messages.Extent, content []byte) {
	if len(content) < copyBelow {
		content = bytes.Clone(content)
	}
	c.cache.Set(keyOf(extent), payload{extent, content})
}

// get returns the payload of exactly this extent.
func (c *payloadCache) get(extent messages.Extent) ([]byte, bool) {
	p, ok := c.cache.GetIfPresent(keyOf(extent))
	if !ok || p.extent != extent || int64(len(p.bytes)) != extent.FrameLength() {
		return nil, false
	}
	return p.bytes, true
}

// damageMemory is how long a damaged block is remembered. A consumer that skips its records
// asks for one after the other, and each time the block would be read several times. After that
// it is read again, in case the object was restored.
const damageMemory = 10 * time.Second

// block is a decompressed block, or why it is damaged.
type block struct {
	content []byte
	damage  *protocol.Error
	until   time.Time // when the damage is forgotten
}

// blockCache keeps blocks that were read from the store. Often a consumer needs the rest of a
// block soon: when it has more credit, or asks for the next record. The cache is apart from
// payloadCache, so that readers of old records do not evict recent ones. It is safe for
// concurrent use.
type blockCache struct {
	cache *otter.Cache[messages.Extent, block] // by Extent.Stored
}

func newBlockCache(limit int64) *blockCache {
	return &blockCache{otter.Must(&otter.Options[messages.Extent, block]{
		MaximumWeight: uint64(max(limit, 1)),
		Weigher: func(x messages.Extent, b block) uint32 {
			return uint32(cap(b.content) + len(x.Key) + stringOverhead + overhead)
		},
	})}
}

func (c *blockCache) put(x messages.Extent, content []byte) {
	c.cache.Set(x.Stored(), block{content: content})
}

// putDamage remembers that a block is damaged.
func (c *blockCache) putDamage(x messages.Extent, damage *protocol.Error) {
	c.cache.Set(x.Stored(), block{damage: damage, until: time.Now().Add(damageMemory)})
}

// get returns the content of the block of an extent, or its damage.
func (c *blockCache) get(x messages.Extent) (content []byte, damage *protocol.Error, ok bool) {
	b, ok := c.cache.GetIfPresent(x.Stored())
	if !ok || b.damage != nil && time.Now().After(b.until) {
		return nil, nil, false
	}
	return b.content, b.damage, true
}
