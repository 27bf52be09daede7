package reader

import (
	"github.com/maypok86/otter/v2"

	"laneway.dev/pkg/messages"
)

// overhead is what an item of a cache costs in bytes besides its content, about.
const overhead = 160

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

func newEntryCache(bytes int64) *entryCache {
	return &entryCache{otter.Must(&otter.Options[entryKey, messages.LoggedEntry]{
		MaximumWeight: uint64(max(bytes, 1)),
		Weigher: func(_ entryKey, logged messages.LoggedEntry) uint32 {
			weight := overhead
			for i := range logged.Entry.Batches {
				weight += overhead + len(logged.Entry.Batches[i].MessageID)
			}
			return uint32(weight)
		},
	})}
}

func (c *entryCache) put(p messages.Partition, logged messages.LoggedEntry) {
	c.cache.Set(entryKey{p.TopicID, p.Number, logged.Sequence}, logged)
}

// clear forgets everything: what the log has behind a lost tail may be something else.
func (c *entryCache) clear() { c.cache.InvalidateAll() }

func (c *entryCache) get(p messages.Partition, sequence uint64) (messages.LoggedEntry, bool) {
	return c.cache.GetIfPresent(entryKey{p.TopicID, p.Number, sequence})
}

// payloadKey is where an extent begins; extents do not overlap.
type payloadKey struct {
	object string
	offset int64
}

type payload struct {
	extent messages.Extent
	bytes  []byte
}

// payloadCache keeps the payloads of recent batches. What is read from the
// store does not enter it: a cold reader would drive out what the readers at
// the end share. It is safe for concurrent use.
type payloadCache struct {
	cache *otter.Cache[payloadKey, payload]
}

func newPayloadCache(bytes int64) *payloadCache {
	return &payloadCache{otter.Must(&otter.Options[payloadKey, payload]{
		MaximumWeight: uint64(max(bytes, 1)),
		Weigher:       func(_ payloadKey, p payload) uint32 { return uint32(len(p.bytes) + overhead) },
	})}
}

func (c *payloadCache) put(extent messages.Extent, bytes []byte) {
	c.cache.Set(payloadKey{extent.Key, extent.Offset}, payload{extent, bytes})
}

// get returns the payload of exactly this extent.
func (c *payloadCache) get(extent messages.Extent) ([]byte, bool) {
	p, ok := c.cache.GetIfPresent(payloadKey{extent.Key, extent.Offset})
	if !ok || p.extent != extent || int64(len(p.bytes)) != extent.Length {
		return nil, false
	}
	return p.bytes, true
}
