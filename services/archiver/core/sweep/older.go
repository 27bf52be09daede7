package sweep

import (
	"fmt"
	"slices"
)

// older returns what earlier sweeps have found beyond the logs; "" if there is nothing.
func (c *Core) older() string {
	for _, before := range c.bounds {
		now, there := c.read[idOf(before.Partition)]
		r := recordOf(before)
		if more := beyond(r, now); there && more != "" {
			return fmt.Sprintf("this sweep has read of partition %s: %s", before.Partition, more)
		}
	}
	for i := range c.records {
		for _, r := range c.records[i].Logs {
			now, there := c.read[idOf(r.Of())]
			switch {
			case there:
				if more := beyond(r, now); more != "" {
					return fmt.Sprintf("sweep %d has read of partition %s: %s", c.records[i].Number, r.Of(), more)
				}
			case !c.wasDeleted(r.TopicID) && !c.wasContinued(r):
				return fmt.Sprintf("sweep %d has read the log of partition %s, topic id %016x, incarnation %d, and there is no such log, nor was the topic deleted",
					c.records[i].Number, r.Of(), r.TopicID, r.Incarnation)
			}
		}
	}
	return ""
}

func (c *Core) wasDeleted(topic uint64) bool {
	return slices.ContainsFunc(c.deleted, func(t Tombstone) bool { return t.Topic == topic })
}

// wasContinued reports whether the log of a record was replaced by a later incarnation.
func (c *Core) wasContinued(r LogRecord) bool {
	for key := range c.read {
		if key.topic == r.TopicID && key.number == r.Partition && key.incarnation > r.Incarnation {
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
