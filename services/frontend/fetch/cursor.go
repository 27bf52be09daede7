package fetch

import (
	"context"
	"fmt"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// readAhead is how many entries are read from the log at once.
const readAhead = 256

// maxQueue is how many batches are queued before their payloads are looked at,
// unless one entry has more.
const maxQueue = 4096

// batch is a batch of the log that is to be delivered, or a gap that is to be told.
type batch struct {
	extent  messages.Extent
	offset  int64 // of its first record
	records uint32
	time    time.Time
	gap     int64 // not 0: so many offsets, from offset on, hold no records
}

func (b *batch) next() int64 { return b.offset + int64(b.records) + b.gap }

// cursor is a place in the log of a partition. It belongs to the goroutine of
// its fetch.
type cursor struct {
	server    *Server
	partition *partition

	offset   int64     // of the next record to deliver
	sequence uint64    // of the next entry to queue
	since    time.Time // entries before it are passed over, until one is not
	queue    []batch
	enough   int64 // bytes of batches that are worth queuing at once
}

// fill queues the batches of the entries that follow, up to an offset.
func (c *cursor) fill(ctx context.Context, limit int64) error {
	entries, err := c.following(ctx)
	if isCorrupt(err) {
		return c.unreadable(ctx, err)
	}
	if err != nil {
		return err
	}
	c.queue = nil // a fetch that waits keeps no more than it needs
	at, queued := c.offset, int64(0)
	for i := range entries {
		entry := &entries[i].Entry
		if entries[i].Sequence != c.sequence {
			if len(c.queue) > 0 {
				return nil // what comes before the hole can be delivered
			}
			if err := c.hole(&entries[i]); err != nil {
				return err
			}
		}
		if recorded := entry.BaseOffset - entry.Gap; recorded > at && at < limit {
			if len(c.queue) > 0 {
				return nil
			}
			return newDamaged(at, recorded, protocol.Errorf(protocol.CodeCorrupt,
				"the entries before entry %d of stream %s are gone", entries[i].Sequence, messages.LogStream(c.partition.id)))
		}
		if until := min(entry.BaseOffset, limit); until > at {
			c.queue = append(c.queue, batch{offset: at, gap: until - at})
			at = until
		}
		if entry.BaseOffset >= limit {
			return nil
		}
		c.sequence = entries[i].Sequence + 1
		at = max(at, entry.NextOffset())
		if c.tooEarly(&entries[i]) {
			c.queue, c.offset = nil, at
			continue
		}
		queued += c.enqueue(&entries[i])
		if len(c.queue) >= maxQueue || queued >= c.enough {
			return nil
		}
	}
	return nil
}

// tooEarly says whether an entry was stored before the time that was asked for.
// The first entry with records that is not too early ends the question.
func (c *cursor) tooEarly(logged *messages.LoggedEntry) bool {
	if logged.Entry.At().Before(c.since) {
		return true
	}
	if len(logged.Entry.Batches) > 0 {
		c.since = time.Time{}
	}
	return false
}

// enqueue queues the batches of an entry and returns how many bytes they have.
func (c *cursor) enqueue(logged *messages.LoggedEntry) (bytes int64) {
	offset := logged.Entry.BaseOffset
	for i := range logged.Entry.Batches {
		placed := &logged.Entry.Batches[i]
		b := batch{extent: placed.Extent, offset: offset, records: placed.Records, time: logged.Entry.At()}
		offset = b.next()
		if b.records > 0 && offset > c.offset {
			c.queue = append(c.queue, b)
			bytes += b.extent.Length
		}
	}
	return bytes
}

// following returns entries from the next one on: those in memory, or, if the
// next one is not, what one request to the log gives.
func (c *cursor) following(ctx context.Context) ([]messages.LoggedEntry, error) {
	var entries []messages.LoggedEntry
	for batches := 0; len(entries) < readAhead && batches < maxQueue; {
		logged, ok := c.server.entries.get(c.partition.id, c.sequence+uint64(len(entries)))
		if !ok {
			break
		}
		entries = append(entries, logged)
		batches += len(logged.Entry.Batches)
	}
	if len(entries) > 0 {
		return entries, nil
	}
	return c.read(ctx, c.sequence, readAhead)
}

// entry returns one entry.
func (c *cursor) entry(ctx context.Context, sequence uint64) (messages.LoggedEntry, error) {
	if logged, ok := c.server.entries.get(c.partition.id, sequence); ok {
		return logged, nil
	}
	entries, err := c.read(ctx, sequence, 1)
	if err != nil {
		return messages.LoggedEntry{}, err
	}
	return entries[0], nil
}

// read reads at least one and up to limit entries, all of which are known to
// exist. A replica of the log that lags is asked again.
func (c *cursor) read(ctx context.Context, from uint64, limit int) ([]messages.LoggedEntry, error) {
	if err := c.partition.reads.take(ctx, c.server.config.LogPatience); err != nil {
		return nil, err
	}
	defer c.partition.reads.give()
	entries, err := fromLog(ctx, c.server.config, func(ctx context.Context) ([]messages.LoggedEntry, error) {
		entries, _, err := c.partition.log.Read(ctx, from, limit)
		switch {
		case len(entries) > 0:
			return entries, nil // an error comes again with the entry that it is about
		case err != nil:
			return nil, err
		}
		return nil, fmt.Errorf("entry %d of stream %s is not there yet", from, messages.LogStream(c.partition.id))
	})
	for i := range entries {
		c.server.entries.put(c.partition.id, entries[i])
	}
	return entries, err
}
