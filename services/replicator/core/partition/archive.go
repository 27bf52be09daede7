package partition

import (
	"fmt"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

const (
	// Pauses after a job has failed.
	firstJobPause   = time.Second
	longestJobPause = time.Minute
	// archiveWarning is the least time between two warnings about archiving, and the silence
	// after which there is one.
	archiveWarning = time.Minute
	// dueShare is the part of the bound on a log's tail at which a job is due, and which a job
	// covers at most.
	dueShare = 4
	// usualJobBytes is the payload of a job where archiving is off. Runs are not joined beyond it.
	usualJobBytes = 64 << 20
)

// archive is what a core knows about the history of its log, and the job that is to move it.
//
// History lies in segments of the object store, which archivers write. A job names entries
// that stand in the log, and has no other state: it may be lost, or done twice. What counts
// is the entry that carries the new history. Example: the history ends at entry 900, and a
// job is sent for the entries up to 1,400. Two archivers do it, and report manifests m1 and
// m2. The owner takes m1, which came first, and the next entry that it appends, 1,437,
// carries m1 with the end 1,400. Once this entry is acknowledged, readers find the entries up
// to 1,400 in the segments of m1. The report of m2 builds on the history before, so it is
// ignored, and no log refers to its objects.
type archive struct {
	// history is that of the newest entry in the log. Its End is also valid before anything was
	// archived: it then precedes the first entry. Entries carry the zero History until then.
	history messages.History
	runs    runs              // the entries after it
	next    *messages.History // accepted, and not in the log yet; else nil
	// nextGeneration is the lowest generation of the objects that are new in next.
	nextGeneration uint64
	job            *job // under way; nil if none is
	flight         flight

	retention retention

	failures  int       // of jobs for the present history
	failedAt  time.Time // of the first of them
	warnedAt  time.Time
	fullSince time.Time // when the bound on the tail was reached; zero if it is not
	toldFull  time.Time // when frontends were last told so
}

// job is a series of entries that is being archived.
type job struct {
	to      messages.Position
	records int64     // offsets that it covers, gaps included
	heardAt time.Time // when it was last sent, or its archiver last heard of; zero if it is to be sent
	silent  time.Time // when it was first sent, or its archiver last heard of
	after   time.Time // when it may be sent again
	taken   bool      // an archiver works on it, as it was last sent
	// generation is the newest one when the job was made, or has failed. A job that is only repeated
	// does not change, so that an archiver recognizes it.
	generation uint64

	retain messages.Retention // what it drops of the history
}

// undone says for people what is so as long as the job is not done.
func (j *job) undone(a *archive) string {
	if j.to == a.history.End {
		return "records that are no longer retained stay in the object store"
	}
	return fmt.Sprintf("the entries of the log up to %d stay in it", j.to.Sequence)
}

// flight is what the append under way has to do with archiving.
type flight struct {
	entry messages.Run // as a run of one, without its end
	moves bool         // it carries the next history
}

// jobEnd returns the last entry of the open job; the zero Position if there is none.
func (a *archive) jobEnd() messages.Position {
	if a.job == nil {
		return messages.Position{}
	}
	return a.job.to
}

// rollBack forgets the job, and a new history that is not in the log. What the archiver
// reports is ignored then, unless the next job is for the same entries.
func (a *archive) rollBack() { a.job, a.next, a.flight, a.retention.entry = nil, nil, flight{}, false }

// forget drops what was read from a snapshot and the log, after a roll-back.
func (a *archive) forget() {
	a.history, a.runs = messages.History{}, runs{}
	a.failures, a.failedAt = 0, time.Time{}
}

// SetCodec changes the codec of the jobs that are sent later; empty if archivers compress nothing.
func (c *Core) SetCodec(codec protocol.Compression) { c.settings.Codec = codec }

// jobLimits returns the bounds of one job.
func (c *Core) jobLimits() jobLimits {
	s := &c.settings
	payload := s.ArchiveBytes
	if payload == 0 {
		payload = usualJobBytes
	}
	return jobLimits{payload, s.TailBytes / dueShare, s.TailBatches / dueShare}
}

// KeepArchiving sends a job when one is due, and sends it again after a failure or a silence.
func (c *Core) KeepArchiving(now time.Time) {
	a := &c.archive
	if c.settings.ArchiveBytes == 0 || a.next != nil {
		return
	}
	if a.job == nil {
		if a.job = c.newJob(now); a.job == nil {
			return
		}
		a.job.generation = c.generations.Newest
	}
	j := a.job
	if now.Before(j.after) || !j.heardAt.IsZero() && now.Sub(j.heardAt) < c.settings.JobSilence {
		return
	}
	if !j.heardAt.IsZero() && now.Sub(j.silent) >= archiveWarning {
		c.WarnArchiving(now, fmt.Sprintf("no archiver has answered for %s, so %s; is one running?", now.Sub(j.silent).Truncate(time.Second), j.undone(a)))
	}
	j.heardAt, j.taken = now, false
	c.send(messages.ArchiveSubject, messages.Archive{
		Partition: c.id, Base: a.history, To: j.to, Codec: c.settings.Codec, GiveUp: a.failures > 0 && now.Sub(a.failedAt) >= c.settings.GiveUpTime,
		Retain: j.retain, Kept: messages.Kept(c.settings.Retention), Generation: j.generation,
	})
}

// ArchivingStalls reports whether jobs fail or get no answers, or the log is full.
func (c *Core) ArchivingStalls(now time.Time) bool {
	a := &c.archive
	return !a.fullSince.IsZero() || a.failures > 0 || a.job != nil && now.Sub(a.job.silent) >= c.settings.JobSilence
}

// archiveDue reports whether enough waits to be archived, or has waited for long enough. What the clock
// of an earlier owner puts into the future has waited for long enough, because it is not known since when.
func (c *Core) archiveDue(now time.Time) bool {
	a, s := &c.archive, &c.settings
	oldest, some := a.runs.oldest()
	waited := time.Duration(now.UnixNano() - oldest.Since)
	switch {
	case len(a.runs.list) == 0:
		return false
	case some && (waited >= c.archiveAge() || waited < -MaxAhead), a.history.End.Offset < a.retention.before:
		return true
	}
	sum := a.runs.sum
	return sum.Payload >= s.ArchiveBytes || sum.LogBytes >= s.TailBytes/dueShare || sum.Batches >= s.TailBatches/dueShare
}

// Archived accepts the result of a job, which the next entry then carries. It ignores the
// result of any other job: of an earlier one, one of another owner, or one that was done
// twice.
func (c *Core) Archived(now time.Time, m messages.Archived) {
	a := &c.archive
	if a.job == nil || a.next != nil || m.Base != a.history.Manifest || m.History.End != a.job.to {
		return
	}
	if m.Retain != a.job.retain && m.History.Start > a.history.Start {
		return // the open job drops something else
	}
	what, of := a.wrong(&m), resultGeneration(&m)
	if what == "" && of < c.generations.Watermark {
		what = c.outdatedObjects(of)
	}
	if what != "" {
		c.jobFailed(now, what)
		return
	}
	a.next, a.nextGeneration = &m.History, of
	if c.stats.Unarchivable += uint64(m.Damaged); m.Damaged > 0 {
		c.warn(fmt.Sprintf("%d records between the offsets %d and %d cannot be read from the object store, and were given up; "+
			"consumers get CORRUPT for them", m.Damaged, a.history.End.Offset, a.job.to.Offset))
	}
}

// wrong returns what is wrong with the result of the job; empty if it can be accepted.
func (a *archive) wrong(m *messages.Archived) string {
	total := a.job.records
	sum := m.Records + m.Damaged + m.Missing
	switch {
	case m.Records > total || m.Damaged > total || m.Missing > total || sum != total:
		return fmt.Sprintf("the archiver reports %d records, %d damaged and %d missing ones, and there are %d offsets",
			m.Records, m.Damaged, m.Missing, total)
	case !m.History.Archived() || m.History.Manifest == a.history.Manifest:
		return "the archiver reports no new manifest"
	case m.History.Start < a.history.Start:
		return fmt.Sprintf("the archiver reports the log start offset %d, which was %d before", m.History.Start, a.history.Start)
	case m.History.Start > a.highestStart():
		return fmt.Sprintf("the archiver reports the log start offset %d, and should keep the records from %d on", m.History.Start, a.highestStart())
	}
	return ""
}

// Archiving notes that an archiver works on the job.
func (c *Core) Archiving(now time.Time, m messages.Archiving) {
	if j := c.archive.job; j != nil && m.Base == c.archive.history.Manifest {
		j.heardAt, j.silent, j.taken = now, now, true
	}
}

// ArchiverStarted has a job sent again that no archiver has taken. Without that, a log that is full
// would wait for JobSilence.
func (c *Core) ArchiverStarted() {
	if j := c.archive.job; j != nil && !j.taken {
		j.heardAt = time.Time{}
	}
}

// ArchiveFailed notes that an archiver has given the job up. A second report of the same
// failure arrives during the pause, and is ignored.
func (c *Core) ArchiveFailed(now time.Time, m messages.ArchiveFailed) {
	a := &c.archive
	if a.job == nil || a.next != nil || m.Base != a.history.Manifest || now.Before(a.job.after) {
		return
	}
	c.jobFailed(now, m.Reason)
}

// jobFailed has the job sent again after a pause.
func (c *Core) jobFailed(now time.Time, reason string) {
	a := &c.archive
	if a.failures == 0 {
		a.failedAt = now
	}
	pause := min(firstJobPause<<min(a.failures, 10), longestJobPause)
	a.failures++
	c.stats.ArchiveFailures++
	j := a.job
	j.heardAt, j.silent, j.after = time.Time{}, now, now.Add(pause)
	j.generation = c.generations.Newest
	c.WarnArchiving(now, fmt.Sprintf("a job of the archivers has failed, so %s; trying again: %s", j.undone(a), reason))
}

// WarnArchiving warns at most once in archiveWarning.
func (c *Core) WarnArchiving(now time.Time, text string) {
	if a := &c.archive; now.Sub(a.warnedAt) >= archiveWarning {
		a.warnedAt = now
		c.warn(text)
	}
}
