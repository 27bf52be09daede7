package repair

import (
	"fmt"

	"laneway.dev/internal/partitionlog"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// continuation turns the readable entries of a log into the entries of the stream that
// continues it. They get new stream sequences, and keep their offsets, times and batches.
// Each hole becomes a barrier with a Gap of the lost offsets. It is pure, and belongs to one
// goroutine.
type continuation struct {
	topicID  uint64
	first    uint64 // sequence of the first entry
	sequence uint64 // of the last entry
	offset   int64  // after the last entry
	time     int64  // of the last entry
	rising   uint64 // sequence of the newest entry whose time fell

	frontend, sequencer uint64 // the highest epochs found

	hole bool // entries are missing before the next one
	lost []Offsets

	// snapshot is the newest one of the old log; nil if there is none. It is changed to cover
	// the new stream, up to the copy of its last entry, or up to the barrier that replaces
	// that entry.
	snapshot *messages.Snapshot
	covered  bool // snapshot covers the new stream
	inHole   bool // the last entry of the snapshot is missing before the next entry
}

// newContinuation returns the continuation of a log that begins at an offset, and its first
// entry, which gets the sequence first.
func newContinuation(p protocol.Partition, first uint64, begin int64, snapshot *messages.Snapshot) (*continuation, messages.Entry) {
	c := &continuation{topicID: p.TopicID, first: first, sequence: first, offset: begin, snapshot: snapshot}
	if snapshot != nil {
		c.frontend, c.sequencer = snapshot.FrontendEpoch, snapshot.SequencerEpoch
	}
	return c, messages.Entry{TopicID: p.TopicID, Created: true, BaseOffset: begin}
}

// missing handles sequences of the old log that cannot be read.
func (c *continuation) missing(m partitionlog.Missing) {
	c.hole = true
	if s := c.snapshot; s != nil && !c.covered && m.First <= s.Sequence && s.Sequence <= m.Last {
		c.inHole = true
	}
}

// entry handles the next readable entry of the old log, and returns the entries of the new
// stream for it. An error means that the log contradicts itself and cannot be continued.
func (c *continuation) entry(e *messages.LoggedEntry) ([]messages.Entry, error) {
	n := e.Entry
	begin := n.BaseOffset - n.Gap
	if begin < c.offset {
		return nil, fmt.Errorf("entry %d begins at offset %d although the one before it ends at %d", e.Sequence, begin, c.offset)
	}
	var out []messages.Entry
	if c.hole || begin > c.offset {
		out = append(out, c.barrier(begin, 0, c.time))
		if c.inHole {
			if begin < c.snapshot.NextOffset {
				return nil, fmt.Errorf("entry %d begins at offset %d, and the newest snapshot, which covers less of the log, ends at %d",
					e.Sequence, begin, c.snapshot.NextOffset)
			}
			c.cover()
		}
	}
	covers := c.endsWith(e)
	if n.Created && c.sequence == c.first && n.NextOffset() == c.offset {
		if covers {
			c.cover()
		}
		return out, nil // the new stream has its own first entry
	}
	n.Created = false
	c.frontend, c.sequencer = max(c.frontend, n.Epoch), max(c.sequencer, n.SequencerEpoch)
	out = append(out, c.append(n))
	if covers {
		c.cover()
	}
	return out, nil
}

// endsWith reports whether the snapshot ends with an entry. A snapshot that contradicts the
// log is dropped; the next owner reads the whole log then.
func (c *continuation) endsWith(e *messages.LoggedEntry) bool {
	s := c.snapshot
	if s == nil || c.covered || e.Sequence < s.Sequence {
		return false
	}
	if e.Sequence == s.Sequence && e.Entry.NextOffset() == s.NextOffset && e.Entry.Time == s.Time {
		return true
	}
	c.snapshot = nil
	return false
}

// finish returns the barrier that ends the copy. New records get offsets from next on. The
// barrier has a frontend epoch above the given one: the tickets of running frontends are
// lost with the entries, so these frontends must be fenced and start with new ones.
func (c *continuation) finish(next int64, epoch uint64, now int64) messages.Entry {
	c.frontend = max(c.frontend, epoch) + 1
	end := c.barrier(max(next, c.offset), c.frontend, max(c.time, now))
	if c.snapshot != nil && !c.covered {
		// Its lanes belong to lower frontend epochs.
		c.snapshot.FrontendEpoch, c.snapshot.SequencerEpoch = c.frontend, c.sequencer
		c.snapshot.Watermark, c.snapshot.Lanes = 0, nil
		c.cover()
	}
	return end
}

// barrier appends an entry without batches at an offset.
func (c *continuation) barrier(base int64, epoch uint64, time int64) messages.Entry {
	gap := base - c.offset
	if gap > 0 {
		c.lost = append(c.lost, Offsets{c.offset, new(base)})
	}
	c.hole = false
	sequencer := uint64(0)
	if epoch > 0 {
		sequencer = c.sequencer
	}
	return c.append(messages.Entry{TopicID: c.topicID, Epoch: epoch, SequencerEpoch: sequencer, BaseOffset: base, Gap: gap, Time: time})
}

// append gives an entry its place in the new stream.
func (c *continuation) append(n messages.Entry) messages.Entry {
	c.sequence++
	if n.Time < c.time {
		c.rising = c.sequence
	}
	n.RisingFrom = c.rising
	c.time, c.offset = n.Time, n.NextOffset()
	return n
}

// cover makes the snapshot end with the last entry of the new stream.
func (c *continuation) cover() {
	c.covered, c.inHole = true, false
	c.snapshot.Sequence, c.snapshot.NextOffset, c.snapshot.Time = c.sequence, c.offset, c.time
}
