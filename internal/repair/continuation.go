package repair

import (
	"slices"

	"laneway.dev/internal/core/generation"
	"laneway.dev/internal/partitionlog"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// continuation turns the readable entries of a log into the entries of the stream that
// continues it. They get new sequences, and keep their offsets, times and batches.
// Each hole becomes a barrier with a Gap of the lost offsets. Every entry names the history. It is
// pure, and belongs to one goroutine.
type continuation struct {
	topicID  uint64
	history  messages.History
	runs     []messages.Run // the entries up to the last one
	first    uint64         // sequence of the first entry
	begin    int64          // offset of the first entry
	sequence uint64         // of the last entry
	offset   int64          // after the last entry
	time     int64          // of the last entry
	rising   uint64         // sequence of the newest entry whose time fell

	frontend, sequencer uint64 // the highest epochs found

	generation uint64 // of objects, the present one; 0 if it is not known
	watermark  uint64 // of the last entry

	hole bool // entries are missing before the next one
	lost []Offsets

	readopted uint64 // as in beginning
	lowered   bool   // an entry up to readopted was copied

	// snapshot is the newest one of the old log; nil if there is none. It is changed to cover
	// the new log, up to the copy of its last entry, or up to the barrier that replaces
	// that entry.
	snapshot *messages.Snapshot
	covered  bool // snapshot covers the new log
	inHole   bool // the last entry of the snapshot is missing before the next entry
}

// beginning is where a continuation begins: at the offset where the history ends, or else where
// the log began.
type beginning struct {
	offset  int64
	history messages.History // of the old log; zero if nothing is archived
	time    int64            // of the last archived entry
	rising  uint64           // RisingFrom of the last archived entry
	// generation is the present one, read after the old log was sealed; 0 if it is not known.
	generation uint64
	snapshot   *messages.Snapshot

	frontend, sequencer uint64 // the highest epochs known
	// readopted is the last entry that was archived in a history that is lost; 0 if none is. The
	// entries up to it that the stream still has are not archived any more. Their objects may be
	// below the watermarks of the log. Those of the new one must not be above them, or a sweep would
	// delete the objects.
	readopted uint64
}

// newContinuation returns a continuation, and its first entry, which gets the sequence first.
func newContinuation(p protocol.Partition, first uint64, b beginning) (*continuation, messages.Entry) {
	c := &continuation{
		topicID: p.TopicID, first: first, begin: b.offset, sequence: first - 1, offset: b.offset, time: b.time, rising: b.rising, history: b.history, snapshot: b.snapshot,
		generation: b.generation, frontend: b.frontend, sequencer: b.sequencer, readopted: b.readopted,
	}
	created := c.append(messages.Entry{TopicID: p.TopicID, Created: true, BaseOffset: b.offset, Time: b.time})
	return c, created
}

// start makes a snapshot that of the first entry. The snapshot is the state after all archived
// entries.
func (c *continuation) start(s messages.Snapshot) {
	c.snapshot = &s
	c.frontend, c.sequencer = max(c.frontend, s.FrontendEpoch), max(c.sequencer, s.SequencerEpoch)
	c.cover()
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
		return nil, refusal("entry %d begins at offset %d although the one before it ends at %d", e.Sequence, begin, c.offset)
	}
	var out []messages.Entry
	if c.hole || begin > c.offset {
		out = append(out, c.barrier(begin, 0, c.time))
		if c.inHole {
			if begin < c.snapshot.NextOffset {
				return nil, refusal("entry %d begins at offset %d, and the newest snapshot, which covers less of the log, ends at %d",
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
		return out, nil // the new log has its own first entry
	}
	n.Created = false
	if c.lowered = c.lowered || e.Sequence <= c.readopted; c.lowered {
		n.Watermark = 0 // finish raises it
	}
	c.heed(&n)
	out = append(out, c.append(n))
	if covers {
		c.cover()
	}
	return out, nil
}

// heed notes the epochs of an entry of the old log, whether or not it is copied.
func (c *continuation) heed(n *messages.Entry) {
	c.frontend, c.sequencer = max(c.frontend, n.Epoch), max(c.sequencer, n.SequencerEpoch)
}

// endsWith reports whether the snapshot ends with an entry. A snapshot that contradicts the
// log is dropped; the next owner reads the whole log then.
func (c *continuation) endsWith(e *messages.LoggedEntry) bool {
	s := c.snapshot
	if s == nil || c.covered || e.Sequence < s.Sequence {
		return false
	}
	if endsWith(s, e) {
		return true
	}
	c.snapshot = nil
	return false
}

// endsWith reports whether an entry is the last one that a snapshot covers.
func endsWith(s *messages.Snapshot, e *messages.LoggedEntry) bool {
	return e.Sequence == s.Sequence && e.Entry.NextOffset() == s.NextOffset && e.Entry.Time == s.Time
}

// finish returns the barrier that ends the copy. New records get offsets from next on. The
// barrier has a frontend epoch above the given one: the tickets of running frontends are
// lost with the entries, so these frontends must be fenced and start with new ones. Its watermark
// is at least as high as any that the old log may have had: what is below may have been deleted.
func (c *continuation) finish(next int64, epoch uint64, now int64) messages.Entry {
	c.frontend = max(c.frontend, epoch) + 1
	mark := generation.Watermark(c.generation)
	for i := range c.runs {
		mark = min(mark, c.runs[i].Generation)
	}
	c.watermark = max(c.watermark, mark)
	end := c.barrier(max(next, c.offset), c.frontend, max(c.time, now))
	if c.snapshot != nil && !c.covered {
		// Its lanes belong to lower frontend epochs.
		c.snapshot.FrontendEpoch, c.snapshot.SequencerEpoch = c.frontend, c.sequencer
		c.snapshot.LanesAbove, c.snapshot.Lanes = 0, nil
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

// append gives an entry its place in the new log.
func (c *continuation) append(n messages.Entry) messages.Entry {
	c.sequence++
	if n.Time < c.time {
		c.rising = c.sequence
	}
	n.RisingFrom, n.History = c.rising, c.history
	c.watermark = max(c.watermark, n.Watermark)
	n.Watermark = c.watermark
	c.time, c.offset = n.Time, n.NextOffset()
	c.count(&n)
	return n
}

// A run takes no more entries when it has this many bytes of payload, bytes in the log, or
// entries. Owners divide their logs in the same way.
const (
	runPayload  = 1 << 20
	runLogBytes = 256 << 10
	runEntries  = 1 << 10
)

// count adds the last entry to the runs.
func (c *continuation) count(n *messages.Entry) {
	before := c.first - 1
	if k := len(c.runs); k > 1 {
		before = c.runs[k-2].End.Sequence
	}
	if k := len(c.runs); k == 0 || c.runs[k-1].Payload >= runPayload || c.runs[k-1].LogBytes >= runLogBytes || c.runs[k-1].End.Sequence-before >= runEntries {
		c.runs = append(c.runs, messages.Run{Since: n.Time, Generation: messages.NoGeneration})
	}
	run := &c.runs[len(c.runs)-1]
	if run.Batches == 0 {
		run.Since = n.Time
	}
	run.End = messages.Position{Sequence: c.sequence, Offset: c.offset}
	run.LogBytes += int64(len(messages.EncodeEntry(*n)))
	run.Batches += int64(len(n.Batches))
	for i := range n.Batches {
		run.Payload += n.Batches[i].Extent.FrameLength()
		if key := n.Batches[i].Extent.Key; key != "" {
			run.Generation = min(run.Generation, generation.OfKey(key))
		}
	}
}

// cover makes the snapshot end with the last entry of the new log.
func (c *continuation) cover() {
	c.covered, c.inHole = true, false
	s := c.snapshot
	s.Sequence, s.NextOffset, s.Time, s.Watermark = c.sequence, c.offset, c.time, c.watermark
	s.Runs = slices.Clone(c.runs)
	if s.History = c.history; !s.History.Archived() {
		// Owners note so where a log without history begins.
		s.History = messages.History{Start: c.begin, End: messages.Position{Sequence: c.first - 1, Offset: c.begin}}
	}
}
