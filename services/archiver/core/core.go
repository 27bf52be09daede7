// Package core decides what an archiver does: which jobs it takes, what it tells their owners,
// and what belongs into the segment and the manifest of a job.
//
// A Core owns the jobs of an archiver, and answers each that it has taken exactly once. It
// receives events and the time, and returns effects as data. A Plan is the work of one job: it
// checks the entries of the log, says what is read from the object store, and builds the segment.
// Neither stores anything: if an archiver crashes, the owners of its jobs send them again.
package core

import (
	"slices"
	"time"

	"laneway.dev/pkg/messages"
)

// Settings are the limits of a core.
type Settings struct {
	Workers     int           // jobs that are worked on at the same time
	Waiting     int           // jobs that may wait for a worker
	ReportEvery time.Duration // how often the owner of a job is told that an archiver works on it
}

// Event is an input of a Core: a messages.Archive, a Finished or a Stop.
type Event any

// Finished reports the end of the work on a job.
type Finished struct {
	Job    messages.Archive
	Result Result
	Failed string // why the job could not be done, for people; empty if it was done
}

// Result is what a job has brought into the object store. The zero value is that of a job that
// failed.
type Result struct {
	Segment                   string // its key
	History                   messages.History
	Records, Damaged, Missing int64 // see messages.Archived
	Bytes                     int64 // of the segment, with what was merged into it
	Merged                    int   // segments that were merged into it
	// Generation is at most that of each object that the job has stored.
	Generation uint64
}

// Stop ends the core. Jobs that wait are answered as failed, so that their owners send them to
// another archiver, and no job is taken after it. The shell cancels the work on the others.
type Stop struct{}

// stopping is the reason of jobs that an archiver gives back.
const stopping = "the archiver is stopping"

// Effects are what a step asks the shell to do. They are valid until the next step.
type Effects struct {
	Start []messages.Archive // jobs to be worked on
	Send  []messages.Envelope
}

// Stats count what happened to jobs.
type Stats struct {
	Archived uint64 // done
	Failed   uint64 // answered as failed
	Dropped  uint64 // arrived when too many waited; their owners send them again
	Repeated uint64 // arrived while they were waiting or worked on
	Replaced uint64 // were waiting when their owners sent other ones
	Records  int64  // of the segments
	Damaged  int64  // offsets whose records could not be read
	Bytes    int64  // of the segments
	Merged   uint64 // segments that were replaced by larger ones
	Waiting  int    // at present
	Working  int    // at present
}

// Core decides about the jobs of an archiver. It belongs to one goroutine.
type Core struct {
	settings Settings
	waiting  []messages.Archive
	working  []work
	stopped  bool
	stats    Stats
	fx       Effects
}

// work is a job that is worked on.
type work struct {
	job      messages.Archive
	reported time.Time
}

// NewCore returns a core without jobs.
func NewCore(settings Settings) *Core { return &Core{settings: settings} }

// Step handles events at a time, which MUST NOT fall.
func (c *Core) Step(now time.Time, events []Event) *Effects {
	c.fx.Start, c.fx.Send = c.fx.Start[:0], c.fx.Send[:0]
	for _, e := range events {
		switch e := e.(type) {
		case messages.Archive:
			c.take(e)
		case Finished:
			c.finish(e)
		case Stop:
			c.stop()
		}
	}
	c.start()
	c.report(now)
	return &c.fx
}

// take queues a job. It is dropped if too many wait: an owner sends a job again if it hears
// nothing of it, and then another archiver may be idle.
func (c *Core) take(job messages.Archive) {
	if c.stopped {
		c.fail(job, stopping)
		return
	}
	if slices.ContainsFunc(c.working, func(w work) bool { return w.job == job }) {
		c.stats.Repeated++
		return
	}
	at := slices.IndexFunc(c.waiting, func(w messages.Archive) bool { return w.Partition == job.Partition })
	switch {
	case at >= 0 && c.waiting[at] == job:
		c.stats.Repeated++
	case at >= 0:
		c.waiting[at] = job // the owner of a partition has one job at a time
		c.stats.Replaced++
	case len(c.waiting)+len(c.working) >= c.settings.Waiting+c.settings.Workers:
		c.stats.Dropped++
	default:
		c.waiting = append(c.waiting, job)
	}
}

// finish answers a job that was worked on.
func (c *Core) finish(f Finished) {
	at := slices.IndexFunc(c.working, func(w work) bool { return w.job == f.Job })
	if at < 0 {
		return
	}
	c.working = slices.Delete(c.working, at, at+1)
	if f.Failed != "" {
		c.fail(f.Job, f.Failed)
		return
	}
	c.stats.Archived++
	c.stats.Records += f.Result.Records
	c.stats.Damaged += f.Result.Damaged
	c.stats.Bytes += f.Result.Bytes
	c.stats.Merged += uint64(f.Result.Merged)
	c.send(f.Job, messages.Archived{
		Partition: f.Job.Partition, Base: f.Job.Base.Manifest, History: f.Result.History,
		Records: f.Result.Records, Damaged: f.Result.Damaged, Missing: f.Result.Missing,
		Generation: f.Result.Generation, Retain: f.Job.Retain,
	})
}

func (c *Core) stop() {
	c.stopped = true
	for _, job := range c.waiting {
		c.fail(job, stopping)
	}
	c.waiting = nil
}

// start begins the work on jobs that wait, in the order of their arrival.
func (c *Core) start() {
	n := min(len(c.waiting), c.settings.Workers-len(c.working))
	for _, job := range c.waiting[:max(n, 0)] {
		c.working = append(c.working, work{job: job})
		c.fx.Start = append(c.fx.Start, job)
	}
	c.waiting = slices.Delete(c.waiting, 0, max(n, 0))
}

// report tells the owners that their jobs are worked on, so that they are not sent again.
func (c *Core) report(now time.Time) {
	for i := range c.working {
		w := &c.working[i]
		if now.Sub(w.reported) < c.settings.ReportEvery {
			continue
		}
		w.reported = now
		c.send(w.job, messages.Archiving{Partition: w.job.Partition, Base: w.job.Base.Manifest})
	}
}

func (c *Core) fail(job messages.Archive, reason string) {
	c.stats.Failed++
	c.send(job, messages.ArchiveFailed{Partition: job.Partition, Base: job.Base.Manifest, Reason: reason})
}

func (c *Core) send(job messages.Archive, m messages.Message) {
	c.fx.Send = append(c.fx.Send, messages.Envelope{Subject: messages.ReplicatorSubject(job.Partition), Message: m})
}

// Ended reports whether the core has answered every job after a Stop.
func (c *Core) Ended() bool { return c.stopped && len(c.working) == 0 }

// Stats returns the counts so far.
func (c *Core) Stats() Stats {
	s := c.stats
	s.Waiting, s.Working = len(c.waiting), len(c.working)
	return s
}
