package sweep

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"laneway.dev/pkg/protocol"
)

// findings are what earlier sweeps have found beyond the logs.
type findings struct {
	first    string // what was found first; "" if nothing was
	behind   []Behind
	restored string // what shows that NATS as a whole is older; "" if nothing does
}

// note notes what was found, and the log that is behind, unless that is nil. unnamed says that NATS does not
// name the record.
func (f *findings) note(p *protocol.Partition, unnamed bool, reason string) {
	f.first = cmp.Or(f.first, reason)
	if unnamed {
		f.restored = cmp.Or(f.restored, reason)
	}
	if p != nil && !slices.ContainsFunc(f.behind, func(b Behind) bool { return idOf(b.Partition) == idOf(*p) }) {
		f.behind = append(f.behind, Behind{*p, reason})
	}
}

// older returns what earlier sweeps have found beyond the logs. A log that could not be read is not compared.
//
// If NATS does not even name the record that has more, it has also lost what it knew of sweeps, so it was
// restored as a whole. If NATS names the record, a single log was restored, or removed by hand.
func (c *Core) older() (found findings) {
	for _, key := range slices.SortedFunc(maps.Keys(c.bounds), compare) {
		before := c.bounds[key]
		now, there := c.read[key]
		if more := beyond(recordOf(before), now); there && more != "" {
			found.note(&now.Partition, false, fmt.Sprintf("this sweep has read of partition %s: %s", before.Partition, more))
		}
	}
	for i := range c.records {
		record := &c.records[i]
		for _, r := range record.Logs {
			now, there := c.read[idOf(r.Of())]
			switch {
			case c.wasDeleted(r.TopicID), !there && (c.isListed(r.Of()) || c.wasContinued(r)):
			case !there:
				found.note(c.earlier(r), record.Number > c.newest, fmt.Sprintf("sweep %d has read the log of partition %s, topic id %016x, incarnation %d, and there is no such log, nor was the topic deleted",
					record.Number, r.Of(), r.TopicID, r.Incarnation))
			default:
				if more := beyond(r, now); more != "" {
					found.note(&now.Partition, record.Number > c.newest, fmt.Sprintf("sweep %d has read of partition %s: %s", record.Number, r.Of(), more))
				}
			}
		}
	}
	return found
}

func (c *Core) isListed(p protocol.Partition) bool {
	return slices.ContainsFunc(c.listed, func(l protocol.Partition) bool { return idOf(l) == idOf(p) })
}

func (c *Core) wasDeleted(topic uint64) bool {
	return slices.ContainsFunc(c.deleted, func(t Tombstone) bool { return t.Topic == topic })
}

// wasContinued reports whether the log of a record was replaced by a later incarnation.
func (c *Core) wasContinued(r LogRecord) bool {
	return slices.ContainsFunc(c.listed, func(l protocol.Partition) bool {
		return l.TopicID == r.TopicID && l.Number == r.Partition && l.Incarnation > r.Incarnation
	})
}

// earlier returns the last incarnation before that of a record; nil if there is none.
func (c *Core) earlier(r LogRecord) (last *protocol.Partition) {
	for i := range c.listed {
		l := &c.listed[i]
		if l.TopicID == r.TopicID && l.Number == r.Partition && l.Incarnation < r.Incarnation && (last == nil || l.Incarnation > last.Incarnation) {
			last = l
		}
	}
	return last
}

// compareLogs ends the sweep with an alarm if the logs are older than the store, and otherwise continues with
// next. What seems to be older is read again after a pause, because a new leader of a stream may not have all
// entries yet for a moment.
func (c *Core) compareLogs(next func() Effect) Effect {
	found := c.older()
	switch {
	case found.first == "":
		return next()
	case c.confirming:
		return c.raise(found)
	}
	c.confirming, c.seeming = true, found.first
	c.read, c.unread = make(map[id]Log), make(map[string]string)
	c.step = (*Core).readAgain
	return ReadLogs{Pause: c.settings.Confirm}
}

func (c *Core) readAgain(_ time.Time, e Event) Effect {
	c.take(e.(LogsRead))
	c.step = (*Core).listedAgain
	return ListLogs{}
}

// listedAgain compares the logs once more, without the streams that are no logs any more. If none is older any
// more, the next sweep starts from the beginning.
func (c *Core) listedAgain(_ time.Time, e Event) Effect {
	listed := e.(LogsListed)
	c.listed, c.deleted = listed.Logs, listed.Deleted
	logs := make(map[id]Log)
	for _, p := range c.listed {
		if l, read := c.read[idOf(p)]; read {
			logs[idOf(p)] = l
		}
	}
	c.read = logs
	return c.compareLogs(func() Effect {
		return c.end("for a moment the logs seemed to be older than the store: " + c.seeming)
	})
}

// raise ends the sweep with the alarm that the logs are older than the store. If NATS as a whole is, all logs
// are concerned that earlier sweeps have read. Others were created, or continued by a repair, after NATS was
// restored.
func (c *Core) raise(found findings) Effect {
	if found.restored != "" {
		c.outcome.Restored = "NATS as a whole was restored: " + found.restored
		for _, p := range sorted(slices.Clone(c.listed)) {
			if c.wasRecorded(p) {
				found.note(&p, false, c.outcome.Restored)
			}
		}
	}
	c.outcome.Behind = found.behind
	return c.alarm(LogOlder, "the logs are older than the store: "+found.first)
}

// wasRecorded reports whether an earlier sweep has read a log, or a later incarnation of it.
func (c *Core) wasRecorded(p protocol.Partition) bool {
	for i := range c.records {
		if slices.ContainsFunc(c.records[i].Logs, func(r LogRecord) bool {
			return r.TopicID == p.TopicID && r.Partition == p.Number && r.Incarnation >= p.Incarnation
		}) {
			return true
		}
	}
	return false
}

func recordOf(l Log) LogRecord {
	return LogRecord{
		Topic: l.Partition.Topic, TopicID: l.Partition.TopicID, Partition: l.Partition.Number, Incarnation: l.Partition.Incarnation,
		Sequence: l.Sequence, Watermark: l.Watermark,
	}
}

// beyond returns what a record has of a log beyond the log itself; "" if there is nothing.
func beyond(l LogRecord, now Log) string {
	switch {
	case now.Sequence < l.Sequence:
		return fmt.Sprintf("entry %d, and the log ends with entry %d", l.Sequence, now.Sequence)
	case now.Watermark < l.Watermark:
		return fmt.Sprintf("watermark %d, and the log has watermark %d", l.Watermark, now.Watermark)
	}
	return ""
}
