package fetch

import (
	"math"
	"slices"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

const (
	// readAhead is how many entries one Read asks for.
	readAhead = 256
	// MaxQueue is how many batches are queued before their payloads are loaded, unless one
	// entry has more.
	MaxQueue = 4096
	// MaxRange bounds the bytes of one Load, unless a single batch is larger.
	MaxRange = 4 << 20
	// MaxAhead bounds the bytes that a Load names to be read ahead. While one range is read from
	// a remote store, which takes as long for any number of bytes, four more are.
	MaxAhead = 4 * MaxRange
	// MaxBeyond bounds the bytes of a segment that are read ahead. A store that takes 100 ms for a
	// request then gives a fetch 320 MiB a second.
	MaxBeyond = 2 * MaxAhead
	// maxReads is how many Reads come between two Loads, unless the queue is empty. Entries may be
	// small, and the records that are queued do not wait for many of them.
	maxReads = 4
	// maxLoad bounds the batches of one Load, and maxAhead those that it names to be read ahead.
	maxLoad  = 1024
	maxAhead = 3 * maxLoad
)

// batch is a batch to deliver or a gap to report.
type batch struct {
	extent  messages.Extent
	inline  *messages.Placeholder // of an inline batch, which has its payload; nil for others
	offset  int64                 // of its first record
	records uint32
	time    time.Time
	gap     int64 // length of a gap that starts at offset; 0 for a batch

	sequence uint64 // of its entry
	manifest string // of the history from which the entry was read; empty for the stream
}

// isStored reports whether the payload of a batch has to be loaded.
func (b *batch) isStored() bool { return b.gap == 0 && b.inline == nil }

func (b *batch) next() int64 { return b.offset + int64(b.records) + b.gap }

// isLost reports whether a batch could not be read when its entry was archived, so that nothing
// is stored of it.
func (b *batch) isLost() bool { return b.gap == 0 && b.extent.Key == "" && b.extent.Length == 0 }

var errNotArchived = protocol.NewError(protocol.CodeCorrupt, "the batch could not be read when the log was archived")

// enough returns how many bytes of batches are queued: one load and what is read ahead.
func (c *Core) enough() int64 {
	enough := int64(MaxRange + MaxAhead)
	if c.request.WindowBytes > 0 {
		enough = min(enough, 3*c.request.WindowBytes)
	}
	if c.request.MaxBytes > 0 {
		enough = min(enough, c.request.MaxBytes-c.bytes)
	}
	return enough
}

// queued returns the bytes of the batches in the queue, and the offset after them.
func (c *Core) queued() (bytes, next int64) {
	for i := range c.queue {
		bytes += c.queue[i].extent.FrameLength()
	}
	if n := len(c.queue); n > 0 {
		return bytes, c.queue[n-1].next()
	}
	return bytes, c.offset
}

// runsLow reports whether more entries are read before the next load, so that the load can name
// enough batches to be read ahead. Otherwise the first load after each read of entries would wait
// for the store. The first load of a fetch does not wait for more entries than it needs.
func (c *Core) runsLow() bool {
	if c.stuck || c.reads >= maxReads || c.retry.failures > 0 || len(c.queue) >= MaxQueue*3/4 || !c.since.IsZero() {
		return false
	}
	bytes, next := c.queued()
	wanted := int64(math.MaxInt64)
	if c.request.MaxRecords > 0 {
		wanted = c.request.MaxRecords - c.records
	}
	return bytes < c.enough()*3/4 && next < c.limit && next-c.offset < wanted
}

// fill queues the batches of the next entries. Offsets between two entries are a gap if the
// log says so, and otherwise damage. If batches are queued before the damage, fill stops
// there. When they are delivered, the entries are read again, and the damage is reported.
func (c *Core) fill(entries []messages.LoggedEntry) {
	from := c.sequence
	c.queueAll(entries)
	c.stuck = c.sequence == from // nothing more can be queued behind what is in the queue
}

func (c *Core) queueAll(entries []messages.LoggedEntry) {
	limit := c.limit
	if c.request.Follow {
		limit = math.MaxInt64
	}
	enough := c.enough()
	if c.queue = slices.Clip(c.queue); len(c.queue) == 0 { // append releases the memory of the old queue
		c.queue = nil
	}
	queued, at := c.queued()
	for i := range entries {
		entry := &entries[i].Entry
		if entries[i].Sequence != c.sequence && (i > 0 || len(c.queue) > 0 || c.hole(&entries[i])) {
			return
		}
		if recorded := entry.BaseOffset - entry.Gap; recorded > at && at < limit {
			if len(c.queue) == 0 {
				c.failLost(protocol.Errorf(protocol.CodeCorrupt, "the entries before entry %d of log %s are gone",
					entries[i].Sequence, messages.LogName(c.partition)), at, recorded)
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

// tooEarly reports whether an entry is older than the requested time. The check ends with the
// first entry with records, or behind a gap, that is not older, so that nothing is skipped if a clock
// was set back after it: a consumer that was told of a gap expects what follows it.
func (c *Core) tooEarly(entry *messages.Entry) bool {
	if entry.At().Before(c.since) {
		return true
	}
	if len(entry.Batches) > 0 || len(c.queue) > 0 {
		c.since = time.Time{}
	}
	return false
}

// enqueue queues the batches of an entry and returns their size in bytes.
func (c *Core) enqueue(entry *messages.Entry) (bytes int64) {
	offset := entry.BaseOffset
	c.queue = slices.Grow(c.queue, len(entry.Batches))
	for i := range entry.Batches {
		placed := &entry.Batches[i]
		b := batch{
			extent: placed.Extent, offset: offset, records: placed.Records, time: entry.At(), sequence: c.sequence - 1, manifest: c.source,
		}
		if placed.IsInline() {
			b.inline = placed
		}
		offset = b.next()
		if b.records > 0 && offset > c.offset {
			c.queue = append(c.queue, b)
			bytes += b.extent.FrameLength()
		}
	}
	return bytes
}

// hole ends the fetch and returns true if entries with records are missing before next.
func (c *Core) hole(next *messages.LoggedEntry) bool {
	if next.Entry.BaseOffset-next.Entry.Gap <= c.offset {
		return false
	}
	c.failLost(protocol.Errorf(protocol.CodeCorrupt, "the entries %d to %d of log %s are gone",
		c.sequence, next.Sequence-1, messages.LogName(c.partition)), c.offset, next.Entry.BaseOffset)
	return true
}

// unreadable handles an entry that cannot be decoded. The next readable entry shows whether
// the damaged one had records. The index of a history says that without another read.
func (c *Core) unreadable(e Failed) {
	switch {
	case e.Next.Sequence > c.sequence && e.Next.Offset > c.offset:
		c.failLost(e.Err, c.offset, e.Next.Offset)
	case e.Next.Sequence > c.sequence:
		c.queue, c.sequence = nil, e.Next.Sequence
	case c.sequence >= c.known.Readable:
		c.failLost(e.Err, c.offset, Unknown)
	default:
		c.damage = e.Err
		c.look(skipping, c.sequence+1, c.known.Readable)
	}
}

// skipped handles the first readable entry after a damaged one. If its base offset is the
// next offset of the fetch, the damaged entries had no records, and the fetch continues.
func (c *Core) skipped(next *messages.LoggedEntry) {
	if next.Entry.BaseOffset > c.offset {
		c.failLost(c.damage, c.offset, next.Entry.BaseOffset)
		return
	}
	c.queue, c.sequence = nil, next.Sequence
}
