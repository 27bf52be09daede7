package core

import (
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/services/replicator/core/partition"
)

// startAppend appends the next section of the partition, unless an append is under way.
//
// One append at a time gives group commit: while JetStream syncs an entry, released batches
// gather, and all of them go into the next entry. A section without content is resolved at
// once, and the loop looks for another one. If the mark has too few offsets left for the
// first batch, startAppend notes how many it needs, and keepMark reserves them.
func (c *Core) startAppend(now time.Time) {
	for !c.appending && c.partition.Waiting() && c.mayAppend() {
		section, need, ok := c.partition.Next(c.epochs, partition.Room{
			Offset: c.reserve.Mark.Reserved.Offset, Items: c.settings.EntryItems, Bytes: c.settings.EntryBytes,
		})
		if !ok {
			c.reserve.need = need
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

// append requests the append of an entry, on the condition that the log still ends with the
// last entry that this core knows.
func (c *Core) append(now time.Time, entry messages.Entry) {
	c.stamp(now, &entry)
	c.flightData = messages.EncodeEntry(entry)
	c.appending = true
	c.fx.Append = &Append{Expected: c.last, Data: c.flightData}
}

// appended handles the acknowledgement of the append under way. Only here do batches become
// committed, and only here are their outcomes produced.
func (c *Core) appended(now time.Time, sequence uint64) {
	c.appending = false
	c.refusal = refusal{}
	c.stamped()
	switch c.phase {
	case claiming:
		c.lead(now, sequence)
	case leading:
		c.stats.Entries++
		c.last = sequence
		if c.partition.Resolve(now, c.epochs.Frontend) {
			c.announce(sequence)
		}
		c.acknowledged = c.end()
		c.reserve.active = now
	}
	c.flightData = nil
}

// announce sends the appended entry to all frontends, which answer producers and serve
// followers with it.
func (c *Core) announce(sequence uint64) {
	c.send(messages.CommittedSubject(c.id), messages.Committed{Partition: c.id, Sequence: sequence, Entry: c.flightData})
}
