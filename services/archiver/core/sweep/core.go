package sweep

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"laneway.dev/internal/core/generation"
	"laneway.dev/internal/core/ordered"
	"laneway.dev/pkg/protocol"
)

// Settings are those of a core.
type Settings struct {
	// Patience is how long a sweep waits for the logs to follow the generation that it has raised.
	Patience time.Duration
	// FullEvery is the time after which all generations of segments and manifests are listed again,
	// and not only those that were not below the bound of the last complete sweep.
	FullEvery time.Duration
	// Confirm is the pause before logs that seem to be older than the store are read again. It is longer
	// than an election in a cluster of NATS servers.
	Confirm time.Duration
}

const (
	// firstPause is the time before the logs that have not followed are read again. It doubles each
	// time: most logs follow soon, and those that are not archived do not follow at all.
	firstPause = 250 * time.Millisecond
	// maxRanges bounds the generations that are listed one by one.
	maxRanges = 64
	// manifestReads bounds how often the manifests of logs are looked for: one may be replaced and
	// deleted between the read of its log and its own.
	manifestReads = 3
)

// id is a log: a partition without the name of its topic.
type id struct {
	topic       uint64
	number      int32
	incarnation uint32
}

func idOf(p protocol.Partition) id { return id{p.TopicID, p.Number, p.Incarnation} }

func compare(a, b id) int {
	return cmp.Or(cmp.Compare(a.topic, b.topic), cmp.Compare(a.number, b.number), cmp.Compare(a.incarnation, b.incarnation))
}

// Core decides one step after the other of sweeps that follow each other. It belongs to one
// goroutine.
type Core struct {
	settings Settings
	step     func(c *Core, now time.Time, e Event) Effect // takes the next event; nil between sweeps

	// What outlasts a sweep. All of it only saves work.
	swept    uint64              // bound of the last complete sweep
	full     time.Time           // when the last complete sweep of all generations has ended
	gone     map[string]struct{} // objects of waiting lists that are deleted
	contents map[string]Contents // of the newest manifests, by key

	// The sweep under way, or the comparison.
	outcome    Outcome
	comparing  bool   // nothing but the comparison
	confirming bool   // the logs have seemed to be older than the store
	seeming    string // why
	listed     []protocol.Partition
	records    []Record // with which the logs are compared
	obsolete   []string // keys of all records
	known      uint64   // number of the newest record
	newest     uint64   // number of the record that NATS names; 0 if it names none
	until      time.Time
	pause      time.Duration
	read       map[id]Log // of step 2, and of step 4 after that
	unread     map[string]string
	bounds     map[id]Log // of step 2
	deleted    []Tombstone
	tries      int
	absent     map[string]struct{} // manifests that were not there
	named      map[string]struct{}
	waiting    []Object
	last       bool   // the page is the last one
	deferred   string // why the sweep is not complete although it went on
}

// NewCore returns a core.
func NewCore(settings Settings) *Core { return &Core{settings: settings} }

// Step takes the result of the last effect and returns the next one.
func (c *Core) Step(now time.Time, e Event) Effect {
	switch e := e.(type) {
	case Start:
		*c = Core{settings: c.settings, swept: c.swept, full: c.full, gone: c.gone, contents: c.contents, comparing: e.Compare}
		c.step = (*Core).recordsFound
		return ReadRecords{}
	case Failed:
		return c.end(e.Reason)
	}
	return c.step(c, now, e)
}

func (c *Core) end(reason string) Effect {
	c.outcome.Reason, c.step = reason, nil
	return End{c.outcome}
}

// endFor ends a sweep because of a partition.
func (c *Core) endFor(partition, reason string) Effect {
	c.outcome.Partition = partition
	return c.end(reason)
}

func (c *Core) alarm(alarm Alarm, reason string) Effect {
	c.outcome.Alarm = alarm
	return c.end(reason)
}

func (c *Core) raised(now time.Time, e Event) Effect {
	c.outcome.Generation = e.(Raised).Generation
	c.until, c.pause = now.Add(c.settings.Patience), firstPause
	c.read, c.unread = make(map[id]Log), make(map[string]string)
	c.step = (*Core).watermarksRead
	return ReadLogs{}
}

// take notes logs that were read.
func (c *Core) take(e LogsRead) {
	for _, l := range e.Logs {
		c.read[idOf(l.Partition)] = l
	}
	for _, f := range e.Failed {
		c.unread[f.What] = f.Reason
	}
}

// watermarksRead waits for logs to follow the generation. Their owners may hear of it late, and
// logs with batches that are not archived do not follow at all.
func (c *Core) watermarksRead(now time.Time, e Event) Effect {
	c.take(e.(LogsRead))
	var late []protocol.Partition
	for _, l := range c.read {
		if l.Watermark < generation.Watermark(c.outcome.Generation) {
			late = append(late, l.Partition)
		}
	}
	if len(late) > 0 && now.Before(c.until) {
		pause := min(c.pause, c.until.Sub(now))
		c.pause *= 2
		return ReadLogs{Logs: sorted(late), Pause: pause}
	}
	c.bounds = c.read
	c.step = (*Core).logsListed
	return ListLogs{}
}

func sorted(partitions []protocol.Partition) []protocol.Partition {
	slices.SortFunc(partitions, func(a, b protocol.Partition) int { return compare(idOf(a), idOf(b)) })
	return partitions
}

// logsListed computes the bound.
func (c *Core) logsListed(now time.Time, e Event) Effect {
	listed := e.(LogsListed)
	c.listed, c.deleted = listed.Logs, listed.Deleted
	if c.comparing {
		return c.readEnds(now)
	}
	bound := generation.Watermark(c.outcome.Generation)
	if bound == 0 {
		return c.end(fmt.Sprintf("the generation is %d, below which there are no objects to delete", c.outcome.Generation))
	}
	// The new log of a repair may be discarded again, and must not stand in a record.
	if len(listed.Continuing) > 0 {
		p := listed.Continuing[0]
		return c.endFor(p.String(), fmt.Sprintf("a repair of partition %s is under way or was interrupted, or the record of its topic is too old: "+
			"incarnation %d of the log exists, and the record does not name it; see laneway topic repair", p, p.Incarnation))
	}
	for _, p := range listed.Logs {
		l, read := c.bounds[idOf(p)]
		switch {
		case !read && c.unread[p.String()] != "":
			return c.endFor(p.String(), fmt.Sprintf("the log of partition %s cannot be read: %s", p, c.unread[p.String()]))
		case !read:
			return c.endFor(p.String(), fmt.Sprintf("the log of partition %s was not there yet, or was not found", p))
		case l.Watermark == 0:
			return c.endFor(p.String(), fmt.Sprintf("the log of partition %s has no watermark yet: its replicator is not running, or batches of an older release are not archived", p))
		}
		if l.Watermark < bound {
			bound, c.outcome.Holding = l.Watermark, p.String()
		}
	}
	c.outcome.Bound = bound
	return c.readEnds(now)
}

// readEnds has the ends of the listed logs read.
func (c *Core) readEnds(now time.Time) Effect {
	c.step = (*Core).endsRead
	c.read, c.unread = make(map[id]Log), make(map[string]string)
	if len(c.listed) == 0 {
		return c.endsRead(now, LogsRead{})
	}
	return ReadLogs{Logs: sorted(slices.Clone(c.listed))}
}

// endsRead compares the logs with what was read before, and has their manifests read.
func (c *Core) endsRead(now time.Time, e Event) Effect {
	read := e.(LogsRead)
	c.take(read)
	if len(read.Failed) > 0 && !c.comparing {
		f := &read.Failed[0]
		return c.endFor(f.What, fmt.Sprintf("the log of partition %s cannot be read: %s", f.What, f.Reason))
	}
	return c.compareLogs(func() Effect {
		if c.comparing {
			return c.end("")
		}
		return c.readManifests(now)
	})
}

func (c *Core) readManifests(now time.Time) Effect {
	var keys []string
	for _, l := range c.read {
		if _, known := c.contents[l.Manifest]; l.Manifest != "" && !known {
			keys = append(keys, l.Manifest)
		}
	}
	slices.Sort(keys)
	c.step = (*Core).manifestsRead
	if len(keys) == 0 {
		return c.manifestsRead(now, ManifestsRead{})
	}
	return ReadManifests{keys}
}

// manifestsRead collects the names of what stays.
func (c *Core) manifestsRead(_ time.Time, e Event) Effect {
	read := e.(ManifestsRead)
	if c.contents == nil {
		c.contents = make(map[string]Contents)
	}
	for _, m := range read.Manifests {
		c.contents[m.Key] = m
	}
	if len(read.Failed) > 0 {
		return c.manifestsFailed(read.Failed)
	}
	c.name()
	c.step = (*Core).recordStored
	return c.store()
}

// manifestsFailed reads the logs again whose manifests are missing: others may have replaced them. A
// manifest is lost if its log still names it after that. A sweep that pauses for long may come too late
// for each of them, which says nothing about the store.
func (c *Core) manifestsFailed(failed []Failure) Effect {
	var again []protocol.Partition
	if c.tries++; c.absent == nil {
		c.absent = make(map[string]struct{})
	}
	for _, f := range failed {
		var of protocol.Partition
		for _, l := range c.read {
			if l.Manifest == f.What {
				of = l.Partition
			}
		}
		switch {
		case !f.Missing:
			return c.endFor(of.String(), fmt.Sprintf("partition %s: the manifest %s cannot be read: %s", of, f.What, f.Reason))
		case c.wasAbsent(f.What):
			return c.manifestLost(of, f)
		case c.tries >= manifestReads:
			return c.endFor(of.String(), fmt.Sprintf("partition %s: its manifest was replaced %d times before it was read", of, c.tries))
		}
		c.absent[f.What] = struct{}{}
		again = append(again, of)
	}
	c.step = (*Core).endsRead
	return ReadLogs{Logs: sorted(again)}
}

// manifestLost ends the sweep with an alarm, unless the topic was deleted meanwhile. Then another sweep may have
// deleted the manifest, although the log is still there.
func (c *Core) manifestLost(of protocol.Partition, f Failure) Effect {
	c.step = func(c *Core, _ time.Time, e Event) Effect {
		listed := e.(LogsListed)
		if c.listed, c.deleted = listed.Logs, listed.Deleted; !c.isListed(of) {
			return c.endFor(of.String(), fmt.Sprintf("partition %s was deleted, or continued by a repair, before its manifest was read", of))
		}
		return c.alarm(StoreOlder, fmt.Sprintf("the store is older than its logs, or has lost objects: partition %s has the manifest %s, which is not there: %s", of, f.What, f.Reason))
	}
	return ListLogs{}
}

func (c *Core) wasAbsent(manifest string) bool {
	_, is := c.absent[manifest]
	return is
}

// name collects what the newest manifests of the logs name, and what waits for its deletion.
func (c *Core) name() {
	c.named = make(map[string]struct{})
	current := make(map[string]Contents)
	for _, l := range c.read {
		if l.Manifest == "" {
			continue
		}
		m := c.contents[l.Manifest]
		current[m.Key] = m
		c.named[m.Key] = struct{}{}
		for _, key := range m.Names {
			c.named[key] = struct{}{}
		}
	}
	gone := make(map[string]struct{})
	for _, key := range ordered.Keys(current) {
		for _, waiting := range current[key].Waiting {
			if _, stays := c.named[waiting]; stays {
				continue // it is shared
			}
			if _, is := c.gone[waiting]; is {
				gone[waiting] = struct{}{}
				continue
			}
			c.waiting = append(c.waiting, Object{Key: waiting})
		}
	}
	c.gone, c.contents = gone, current
}
