package fetch

import (
	"math"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

const (
	// readAhead is how many entries are read from the log at once.
	readAhead = 256
	// MaxQueue is how many batches are queued before their payloads are looked at,
	// unless one entry has more.
	MaxQueue = 4096
	// MaxRange bounds the payloads that are loaded at once, in bytes; a single batch may
	// be larger.
	MaxRange = 4 << 20
	// maxLoad is how many batches are loaded at once.
	maxLoad = 1024
)

// batch is a batch of the log that is to be delivered, or a gap that is to be
// reported.
type batch struct {
	extent  messages.Extent
	offset  int64 // of its first record
	records uint32
	time    time.Time
	gap     int64 // not 0: so many offsets, from offset on, hold no records
}

func (b *batch) next() int64 { return b.offset + int64(b.records) + b.gap }

// fill queues the batches of the entries that follow. Whatever is missing between them
// is a gap that the log names, or damage. Damage is reported once everything in front
// of it is delivered: the entries are read again then.
func (c *Core) fill(entries []messages.LoggedEntry) {
	limit := c.limit
	if c.request.Follow {
		limit = math.MaxInt64
	}
	enough := min(max(c.request.WindowBytes, c.request.MaxBytes), MaxRange)
	c.queue = nil // a fetch that waits keeps no more than it needs
	at, queued := c.offset, int64(0)
	for i := range entries {
		entry := &entries[i].Entry
		if entries[i].Sequence != c.sequence && (len(c.queue) > 0 || c.hole(&entries[i])) {
			return
		}
		if recorded := entry.BaseOffset - entry.Gap; recorded > at && at < limit {
			if len(c.queue) == 0 {
				c.failLost(protocol.Errorf(protocol.CodeCorrupt, "the entries before entry %d of stream %s are gone",
					entries[i].Sequence, messages.LogStream(c.partition)), at, recorded)
			}
			return
		}
		if until := min(entry.BaseOffset, limit); until > at {
			c.queue = append(c.queue, batch{offset: at, gap: until - at})
			at = until
		}
		if entry.BaseOffset >= limit {
			return
		}
		c.sequence = entries[i].Sequence + 1
		at = max(at, entry.NextOffset())
		if c.tooEarly(entry) {
			c.queue, c.offset = nil, at
			continue
		}
		queued += c.enqueue(entry)
		if len(c.queue) >= MaxQueue || queued >= enough {
			return
		}
	}
}

// tooEarly reports whether an entry was stored before the time that was asked for.
// From the first entry with records that is not too early on, none is.
func (c *Core) tooEarly(entry *messages.Entry) bool {
	if entry.At().Before(c.since) {
		return true
	}
	if len(entry.Batches) > 0 {
		c.since = time.Time{}
	}
	return false
}

// enqueue queues the batches of an entry and returns how many bytes they have.
func (c *Core) enqueue(entry *messages.Entry) (bytes int64) {
	offset := entry.BaseOffset
	for i := range entry.Batches {
		placed := &entry.Batches[i]
		b := batch{extent: placed.Extent, offset: offset, records: placed.Records, time: entry.At()}
		offset = b.next()
		if b.records > 0 && offset > c.offset {
			c.queue = append(c.queue, b)
			bytes += b.extent.Length
		}
	}
	return bytes
}

// hole ends the fetch, and returns true, if entries with records are missing before
// one.
func (c *Core) hole(next *messages.LoggedEntry) bool {
	if next.Entry.BaseOffset <= c.offset {
		return false
	}
	c.failLost(protocol.Errorf(protocol.CodeCorrupt, "the entries %d to %d of stream %s are gone",
		c.sequence, next.Sequence-1, messages.LogStream(c.partition)), c.offset, next.Entry.BaseOffset)
	return true
}

// unreadable takes the error for the next entry, which cannot be decoded. What follows
// it says whether records are lost.
func (c *Core) unreadable(why *protocol.Error) {
	if c.sequence >= c.known.Readable {
		c.failLost(why, c.offset, Unknown)
		return
	}
	c.damage = why
	c.look(skipping, c.sequence+1, c.known.Readable)
}

// skipped takes the first readable entry behind a damaged one. A damaged entry without
// records is no loss for consumers.
func (c *Core) skipped(next *messages.LoggedEntry) {
	if next.Entry.BaseOffset > c.offset {
		c.failLost(c.damage, c.offset, next.Entry.BaseOffset)
		return
	}
	c.queue, c.sequence = nil, next.Sequence
}
