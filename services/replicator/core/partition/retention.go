package partition

import (
	"time"

	"laneway.dev/pkg/messages"
)

// Retention reports how long, and how many bytes of segments, a topic keeps. 0 keeps them forever.
// It applies from the next job on, and the open job drops nothing any more.
type Retention struct {
	Age   time.Duration
	Bytes int64
}

// LogTime answers Effects.AskTime.
type LogTime struct {
	Last int64 // the time that JetStream gave to the last entry, in Unix nanoseconds; 0 if it is not known
	// Created is when JetStream created the stream, in Unix nanoseconds; 0 if that is not known.
	Created int64
}

// retention is what a core knows about the records that are to be dropped.
//
// The time at which records are too old is the lower one of this process's clock and of JetStream's:
// a single clock that is ahead would drop records that are young. JetStream gives its time only with
// entries. So the core asks for that of the last entry before it sends a job, and appends an entry if
// that one is too old.
//
// The times of the records are those of earlier owners, one of which may have been far behind. No record
// is older than its stream, so until the stream is old enough none is dropped by age. Example: a machine
// starts with its clock at 1970, and takes records for a new topic. They are kept when the clock is set.
// A stream that continues another one is younger than the records that it has from there. They are kept
// longer then, by up to the retention time.
type retention struct {
	asking bool      // AskTime is not answered yet
	asked  bool      // it was answered since the last job
	last   int64     // the time of the newest entry, as JetStream gave it last, in Unix nanoseconds
	since  int64     // when JetStream created the stream, in Unix nanoseconds; 0 if that is not known
	after  time.Time // before that, nothing is dropped by age
	entry  bool      // an entry is to be appended, for its time
	before int64     // the log start offset that a truncation asks for
}

const (
	// While JetStream's time is behind this process's clock, the core waits for a tenth of the
	// retention time, within these bounds, before it asks again.
	shortestRetentionPause = time.Second
	longestRetentionPause  = time.Minute
	retentionPauseShare    = 10
)

// LogTime takes JetStream's time. It may be lower than before: another leader of the stream has another
// clock, and the one before was ahead.
func (c *Core) LogTime(e LogTime) {
	r := &c.archive.retention
	r.asking, r.asked = false, true
	r.last, r.since = e.Last, max(r.since, e.Created)
}

// SetRetention takes the retention of the topic after an update. The open job may wait for an archiver
// for hours, and must not drop what the new retention keeps. So it then drops only what a truncation asks
// for, and is sent again in this form. The next job follows the new retention. A job that has nothing left
// to do ends. A result that is accepted already counts, unless it is refused when an entry is to carry it.
func (c *Core) SetRetention(e Retention) {
	if e == c.settings.Retention {
		return
	}
	a := &c.archive
	c.settings.Retention = e
	a.retention.after = time.Time{}
	if a.job == nil {
		return
	}
	if less := (messages.Retention{Before: a.job.retain.Before}); a.job.retain != less {
		a.job.retain, a.job.heardAt = less, time.Time{}
	}
	if a.next == nil && a.vain() {
		a.job = nil
	}
}

// vain reports whether the open job has nothing to do.
func (a *archive) vain() bool { return a.job.to == a.history.End && !drops(&a.history, a.job.retain) }

// highestStart returns the highest log start offset that may result from the open job.
func (a *archive) highestStart() int64 {
	if r := &a.job.retain; r.Cutoff == 0 && r.Bytes == 0 {
		return max(a.history.Start, min(r.Before, a.job.to.Offset))
	}
	return a.job.to.Offset
}

// archiveAge is how long a batch may wait for a job. Only segments can be dropped, so records that
// are not kept for long are archived early.
func (c *Core) archiveAge() time.Duration {
	if age := c.settings.Retention.Age; age > 0 {
		return min(age, c.settings.ArchiveAge)
	}
	return c.settings.ArchiveAge
}

// retain returns what a job at a time is to drop.
func (c *Core) retain(now int64) messages.Retention {
	a := &c.archive
	r := messages.Retention{Before: a.retention.before, Bytes: c.settings.Retention.Bytes}
	age := c.settings.Retention.Age
	if age == 0 {
		return r
	}
	if r.Cutoff = now - age.Nanoseconds(); r.Cutoff < a.retention.since {
		// The oldest segment stays, and all behind it. If something else may drop it, the ones behind it
		// may seem even older.
		if r.Cutoff = min(r.Cutoff, a.history.Oldest); r.Bytes > 0 || r.Before > a.history.Start {
			r.Cutoff = 0
		}
	}
	return r
}

// drops reports whether a retention drops anything of a history. The size of a manifest that an
// older version has stored is not known, and neither is its oldest segment.
func drops(h *messages.History, r messages.Retention) bool {
	switch {
	case !h.Archived() || r == messages.Retention{}:
		return false
	case h.Size == 0, h.Start < min(r.Before, h.End.Offset):
		return true
	case h.OldestBytes == 0:
		return false
	}
	return h.Oldest < r.Cutoff || r.Bytes > 0 && h.Bytes-h.OldestBytes >= r.Bytes
}

// newJob returns the job that is due; nil if none is, or if JetStream's time has to be asked for.
func (c *Core) newJob(now time.Time) *job {
	a := &c.archive
	r := &a.retention
	due := c.archiveDue(now)
	if !due && (now.Before(r.after) || !drops(&a.history, c.retain(now.UnixNano()))) {
		return nil
	}
	if c.settings.Retention.Age > 0 && !r.asked {
		c.fx.AskTime = !r.asking
		r.asking = true
		return nil
	}
	r.asked = false
	retain := c.retain(min(now.UnixNano(), r.last))
	to := a.history.End
	switch {
	case due:
		to = a.runs.first(c.jobLimits()).End
	case !drops(&a.history, retain):
		pause := c.settings.Retention.Age / retentionPauseShare
		r.after = now.Add(min(max(pause, shortestRetentionPause), longestRetentionPause))
		r.entry = true
		return nil
	}
	return &job{to: to, records: to.Offset - a.history.End.Offset, silent: now, retain: retain}
}
