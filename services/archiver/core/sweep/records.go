package sweep

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// recordsFound chooses the records with which the logs are compared: the one that NATS names, and those
// with higher numbers. These are of sweeps that have died before their records were named, or that NATS has
// forgotten, because it was restored from a copy. Only such a copy can be two numbers behind, because all
// sweeps that begin while one is named have the next number.
//
// The others say nothing more. A sweep is named only if none was since it has begun. So the one that is
// named has read the logs after all that were named before. And one with the same or a lower number that
// is not named has deleted nothing. Such a record may be stored late, and have a topic that was deleted
// since, and whose tombstone is gone: two sweeps at least were named before that.
func (c *Core) recordsFound(_ time.Time, e Event) Effect {
	found := e.(RecordsFound)
	c.obsolete, c.known, c.newest = found.Torn, found.Known, found.Known
	newest, there := uint64(0), found.Known == 0
	for _, r := range found.Records {
		c.obsolete = append(c.obsolete, r.Key)
		newest = max(newest, r.Number)
		if r.Number > found.Known || found.names(r) {
			c.records, there = append(c.records, r), true
		}
	}
	if !there {
		return c.alarm(StoreOlder, fmt.Sprintf("the store is older than its logs: sweep %d has stored the record %s there, and the newest one is that of sweep %d", found.Known, found.Named, newest))
	}
	if newest > found.Known+1 {
		if found.Known > 0 {
			c.seeming = fmt.Sprintf("sweep %d has stored a record there, and the newest one that NATS knows is sweep %d", newest, found.Known)
			c.step = (*Core).restoredListed
			return ListLogs{}
		}
		c.known = newest // NATS has lost its bucket, and not necessarily a log
	}
	switch {
	case !c.comparing:
	case len(c.records) == 0:
		return c.end("")
	default:
		c.step = (*Core).logsListed
		return ListLogs{}
	}
	c.step = (*Core).raised
	return Raise{}
}

// restoredListed raises the alarm after the records have shown that NATS as a whole was restored.
func (c *Core) restoredListed(_ time.Time, e Event) Effect {
	c.listed = e.(LogsListed).Logs
	return c.raise(findings{first: c.seeming, restored: c.seeming})
}

// Settled reports whether NATS names the newest record of the store. If it does not, the logs or the store
// may have been restored from a copy that is older than the last sweep, or a sweep has died before its record
// was named. The next sweep compares them.
func Settled(found RecordsFound) bool {
	there := found.Known == 0
	for _, r := range found.Records {
		there = there || found.names(r)
		if r.Number > found.Known {
			return false
		}
	}
	return there
}

// names reports whether NATS names a record.
func (f *RecordsFound) names(r Record) bool {
	return r.Key == f.Named || f.Named == "" && r.Number == f.Known
}

// store records what the sweep goes by.
func (c *Core) store() Effect {
	r := Record{Number: c.known + 1, Generation: c.outcome.Generation, Bound: c.outcome.Bound, Logs: []LogRecord{}}
	for _, key := range slices.SortedFunc(maps.Keys(c.read), compare) {
		r.Logs = append(r.Logs, recordOf(c.read[key]))
	}
	var seen []uint64
	for i := range c.deleted {
		if t := &c.deleted[i]; t.Seen == 0 && !t.Passing {
			t.Seen = c.outcome.Generation
			seen = append(seen, t.Topic)
		}
	}
	return StoreRecord{Record: r, Obsolete: c.obsolete, Seen: seen}
}
