package core

import (
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/services/replicator/core/partition"
)

// Appended reports that the append under way is durable.
type Appended struct{ Sequence uint64 }

// AppendFailed reports that the append under way was rejected, because the log has other
// entries than expected, or that its outcome is unknown. Either way the log must be read.
type AppendFailed struct {
	Moved   bool   // rejected by JetStream: the last sequence differs, or the log is sealed
	Deleted bool   // the topic does not exist
	Reason  string // for operators
}

// Append asks for one entry to be appended, if the last sequence of the stream is the
// expected one. It is answered by Appended or AppendFailed.
//
// The shell MUST NOT send an Append twice. It MUST answer Appended only after JetStream has
// acknowledged the entry, and AppendFailed with Moved only if the entry is certainly not
// in the log.
type Append struct {
	Expected uint64
	Data     []byte
}

// startAppend appends the next section of the partition, unless an append is under way.
//
// One append at a time gives group commit: while JetStream syncs an entry, released batches
// gather, and all of them go into the next entry. A section without content is resolved at
// once, and the loop looks for another one. If the mark has too few offsets left for the
// first batch, startAppend notes how many it needs, and keepMark reserves them.
func (c *Core) startAppend(now time.Time) {
	c.partition.RefuseHistory(now)
	for !c.appending && c.mayAppend() && c.waiting() {
		if !c.partition.Waiting() {
			c.append(now, messages.Entry{ // for the history or the watermark
				TopicID: c.id.TopicID, Epoch: c.epochs.Frontend, SequencerEpoch: c.epochs.Sequencer, BaseOffset: c.partition.NextOffset(),
			})
			return
		}
		section, need, ok := c.partition.Next(c.epochs, partition.Room{
			Offset: c.reserve.Mark.Reserved.Offset, Items: c.settings.EntryItems, Bytes: c.settings.EntryBytes, Payload: c.settings.EntryPayload,
			Watermark: c.watermark.logged,
		})
		if c.reserve.need = need; !ok {
			return
		}
		if section.Empty() {
			c.partition.Resolve(now, c.epochs.Frontend)
			continue
		}
		c.append(now, messages.Entry{
			TopicID: c.id.TopicID, Epoch: section.Epochs.Frontend, SequencerEpoch: section.Epochs.Sequencer,
			BaseOffset: section.BaseOffset, Batches: section.Batches, Fences: section.Fences, Refused: section.Refused,
		})
	}
}

// waiting reports whether anything waits for an append: batches, fences, rejections, a history, a
// watermark, or retention, which needs JetStream's time.
func (c *Core) waiting() bool {
	return c.partition.Waiting() || c.partition.HistoryWaiting() || c.mayRaise()
}

// append requests the append of an entry, on the condition that the log still ends with the
// last entry that this core knows. Every entry carries the history and the watermark.
func (c *Core) append(now time.Time, entry messages.Entry) {
	c.stamp(now, &entry)
	entry.History = c.partition.Carried()
	entry.Watermark = c.raised(&entry)
	c.watermark.flight, c.watermark.asked = entry.Watermark, c.watermark.newest
	if c.heldByHistory(entry.Watermark) {
		c.watermark.asked = 0
	}
	c.flightData = messages.EncodeEntry(entry)
	c.partition.Carry(&entry, int64(len(c.flightData)))
	c.appending = true
	c.fx.Append = &Append{Expected: c.last, Data: c.flightData}
}

// appended handles the acknowledgement of the append under way. Only here do batches become
// committed, and only here are their outcomes produced.
func (c *Core) appended(now time.Time, sequence uint64) {
	c.appending = false
	c.refusal = refusal{}
	c.stamped()
	c.raise(c.watermark.flight)
	switch c.phase {
	case claiming:
		c.lead(now, sequence)
	case leading:
		c.stats.Entries++
		c.last = sequence
		committed := c.partition.Resolve(now, c.epochs.Frontend)
		if moved := c.appendedHistory(); committed || moved {
			c.announce(sequence)
		}
		c.acknowledged = c.end()
		c.reserve.active = now
	}
	c.flightData = nil
}

// appendedHistory counts the appended entry, and reports whether it has moved the history.
func (c *Core) appendedHistory() (moved bool) {
	archived, moved := c.partition.AppendedHistory(c.last)
	if moved {
		c.historyMoved(archived)
	}
	return moved
}

// announce sends the appended entry to all frontends, which answer producers and serve
// followers with it, and find out what is archived.
func (c *Core) announce(sequence uint64) {
	c.send(messages.CommittedSubject(c.id), messages.Committed{Partition: c.id, Sequence: sequence, Entry: c.flightData})
}
