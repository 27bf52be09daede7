// Package core decides how a stager gathers batches into objects, which uploads run, whether
// a failed upload is repeated, and which answer each batch gets.
//
// It owns each batch that the stager has accepted until it has answered it exactly once, as
// staged or as refused. It receives events and the time, and returns effects as data. It
// keeps no order between batches, because uploads finish in any order. It stores nothing: if
// a stager crashes, the frontends send its batches to be staged again.
package core

import (
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

const (
	// maxName is the longest topic, lane or message id that an object can hold, in bytes.
	maxName = 1<<16 - 1
	// maxRemaining bounds the time that a frontend may give a batch.
	maxRemaining = 24 * time.Hour
	// expireEvery is how often the core looks for waiting batches that are past their
	// deadline. It bounds only how late they are refused: no batch is uploaded after its
	// deadline, because each one is checked again before its upload.
	expireEvery = 100 * time.Millisecond
	// busyLinger is how long an object that is not full waits at least for more batches
	// while an upload runs. The wait ends earlier if no upload is left.
	busyLinger = 10 * time.Millisecond
	// minTick is the lowest result of Tick, however short the linger is.
	minTick = time.Millisecond
)

// Settings are the name and the limits of a core.
type Settings struct {
	Name          string        // of this instance, in its messages to frontends
	ReportEvery   time.Duration // how often frontends are told what the core still holds; 0 is never
	Linger        time.Duration // how long a batch waits for others; while an upload runs, at least busyLinger
	ObjectBytes   int64         // payload bytes at which an object is closed
	ObjectBatches int           // batches at which an object is closed
	Uploads       int           // uploads at once to begin with
	MostUploads   int           // while the store keeps up; not lower than Uploads
	MemoryBytes   int64         // of all batches that are not answered
}

// Tick returns the interval at which the shell steps the core while there are no events. It
// is short enough to end a linger without much delay.
func (s Settings) Tick() time.Duration {
	if s.Linger == 0 {
		return busyLinger
	}
	return min(max(s.Linger/8, minTick), busyLinger)
}

// Event is an input of a Core: a messages.Stage or Inspected, Uploaded, PutFailed, Drain or Abandon.
type Event any

// Inspected is a message that has compressed frames, after the shell has checked them. A
// messages.Stage with compressed frames MUST NOT be passed to the core without that.
type Inspected struct {
	messages.Stage
	Wrong []*protocol.Error // one for each batch: why it is refused, or nil
}

// Uploaded reports the end of an upload, and returns the object to the core.
type Uploaded struct {
	Object  *Object
	Size    int64             // of the object as stored, in bytes
	Extents []messages.Extent // one for each batch
	Failed  *protocol.Error   // why the object is not in the store; nil if it is
}

// PutFailed reports that the store has not stored an object for a reason that may pass, such as
// too many requests. The upload goes on and ends with Uploaded. Fewer uploads run from now on.
type PutFailed struct{ Began time.Time }

// Drain reports that no more batches will arrive. Waiting batches are uploaded without
// lingering.
type Drain struct{}

// Abandon reports that there is no time left. Waiting batches, and those that still arrive,
// are refused. Each upload that has started still ends with Uploaded.
type Abandon struct{}

// Effects is what a step asks the shell to do. An object belongs to its upload until
// Uploaded returns it.
type Effects struct {
	Uploads []*Object
	Send    []messages.Envelope
}

// Stats counts what happened.
type Stats struct {
	Batches   uint64 // staged
	Inline    uint64 // those among them that were returned inline
	Objects   uint64 // stored
	Bytes     uint64 // of those objects
	Refused   uint64 // batches
	Failures  uint64 // uploads that failed for good
	Retries   uint64 // puts of an object that followed a failed one
	Hedges    uint64 // puts of an object beside one that was late
	Uploading int    // uploads in flight
	Limit     int    // of uploads in flight, at present
	Waiting   int    // batches that wait for an upload
	Held      int64  // memory of the batches that are not answered, in bytes
}

// Core serves all partitions of a stager. It belongs to one goroutine.
type Core struct {
	settings Settings
	busy     *protocol.Error

	queue     queue
	held      inventory
	reports   reports
	limiter   limiter
	uploading int
	expired   time.Time // when the waiting batches were last searched
	draining  bool
	abandoned bool
	stats     Stats

	// What this turn does.
	staged  outbox[messages.StagedBatch]
	refused outbox[messages.Refusal]
	holding outbox[messages.Held]
	fx      Effects
}

// NewCore returns a core that holds nothing.
func NewCore(settings Settings) *Core {
	return &Core{
		settings: settings,
		busy: protocol.Errorf(protocol.CodeStagerBusy,
			"the batches that it may hold are limited to %d bytes", settings.MemoryBytes),
		queue: queue{bytes: settings.ObjectBytes, batches: settings.ObjectBatches},
		held:  inventory{limit: settings.MemoryBytes},

		reports: reports{every: settings.ReportEvery}, limiter: newLimiter(settings),
	}
}

// Step handles events in their order and returns the effects. Without events it only does
// what is due at this time.
func (c *Core) Step(now time.Time, events []Event) Effects {
	c.fx = Effects{}
	for _, e := range events {
		switch e := e.(type) {
		case messages.Stage:
			c.stage(now, &e, nil)
		case Inspected:
			c.stage(now, &e.Stage, e.Wrong)
		case Uploaded:
			c.uploaded(&e)
		case PutFailed:
			c.limiter.failed(now, e.Began)
		case Drain:
			c.draining = true
		case Abandon:
			c.draining, c.abandoned = true, true
		}
	}
	c.dropWaiting(now)
	c.begin(now)
	c.flush()
	c.report(now)
	return c.fx
}

// Ended reports whether the core is draining and holds no batch.
func (c *Core) Ended() bool { return c.draining && c.uploading == 0 && c.queue.empty() }

// Stats returns what happened so far, except Retries and Hedges, which the shell counts.
func (c *Core) Stats() Stats {
	s := c.stats
	s.Uploading, s.Limit, s.Waiting, s.Held = c.uploading, c.limiter.slots(), c.queue.waiting, c.held.bytes
	return s
}

var (
	errTooLate  = protocol.NewError(protocol.CodeDeadlinePassed, "its deadline had passed when it reached the stager")
	errWaited   = protocol.NewError(protocol.CodeDeadlinePassed, "its deadline passed while it waited for an upload")
	errLongName = protocol.Errorf(protocol.CodeInvalidRequest, "the name of the topic, the lane or the message id has more than %d bytes", maxName)
	// With this code the frontend has the batch staged again, perhaps by another stager.
	errEnding = protocol.NewError(protocol.CodeStagerBusy, "the stager is stopping")
)

// stage admits or refuses each batch of a message. wrong is as in Inspected; nil if no batch
// was inspected.
func (c *Core) stage(now time.Time, m *messages.Stage, wrong []*protocol.Error) {
	for i := range m.Batches {
		b := Batch{
			StageBatch: m.Batches[i], Partition: m.Partition, Epoch: m.Epoch, Codec: codecOf(m, &m.Batches[i]), Arrived: now,
		}
		switch reason := c.objection(&b); {
		case reason != nil:
			c.refuse(&b, refusal(&b, reason))
		case len(wrong) > 0 && wrong[i] != nil:
			c.refuse(&b, refusal(&b, wrong[i]))
		case b.Inline && !c.queue.has(laneOf(&b)):
			c.stats.Inline++
			c.stats.Batches++
			c.staged.add(b.sender(), inlined(&b))
		case !c.held.admit(&b):
			c.refuse(&b, refusal(&b, c.busy))
		default:
			b.Deadline = now.Add(remaining(b.Remaining))
			c.queue.add(b, len(m.Batches)-i-1)
		}
	}
}

// objection returns why this stager refuses a batch, apart from its memory limit; nil if it
// does not.
func (c *Core) objection(b *Batch) *protocol.Error {
	switch {
	case c.abandoned:
		return errEnding
	case b.Remaining <= 0:
		return errTooLate
	case len(b.Lane) > maxName, len(b.Partition.Topic) > maxName, len(b.MessageID) > maxName:
		return errLongName
	}
	return nil
}

// remaining converts the time left of a batch, in milliseconds.
func remaining(milliseconds int64) time.Duration {
	return time.Duration(min(milliseconds, int64(maxRemaining/time.Millisecond))) * time.Millisecond
}

// uploaded answers for all batches of an object whose upload has ended.
func (c *Core) uploaded(u *Uploaded) {
	uploading := c.uploading
	c.uploading--
	c.reports.ends(u.Object)
	batches := u.Object.Batches
	if u.Failed != nil {
		c.stats.Failures++
		for i := range batches {
			c.refuse(&batches[i], c.held.refused(&batches[i], u.Failed))
		}
		return
	}
	c.limiter.stored(uploading)
	c.stats.Objects++
	c.stats.Bytes += uint64(u.Size)
	c.stats.Batches += uint64(len(batches))
	for i := range batches {
		c.staged.add(batches[i].sender(), c.held.staged(&batches[i], u.Extents[i]))
	}
}

// dropWaiting refuses the waiting batches that are past their deadline; after Abandon, all
// waiting batches.
func (c *Core) dropWaiting(now time.Time) {
	if c.abandoned {
		c.queue.drop(func(b *Batch) bool { return c.give(b, errEnding) })
		return
	}
	if now.Sub(c.expired) >= expireEvery {
		c.expired = now
		c.queue.drop(func(b *Batch) bool { return c.expire(now, b) })
	}
}

// begin starts uploads while there are objects and slots for them.
func (c *Core) begin(now time.Time) {
	for c.uploading < c.limiter.slots() && c.queue.ready(now, c.linger()) {
		object := c.queue.take()
		object.drop(func(b *Batch) bool { return c.expire(now, b) })
		if len(object.Batches) == 0 {
			continue
		}
		c.uploading++
		c.reports.begins(object)
		c.fx.Uploads = append(c.fx.Uploads, object)
	}
}

// linger returns how long a batch waits for others. While an upload runs, it is at least
// busyLinger: with a fast store, more parallel uploads would only make the objects smaller,
// and each object costs a file, two syncs and a message.
func (c *Core) linger() time.Duration {
	switch {
	case c.draining:
		return 0
	case c.uploading > 0:
		return max(c.settings.Linger, busyLinger)
	default:
		return c.settings.Linger
	}
}

// expire refuses a batch that is past its deadline, and reports whether it is.
func (c *Core) expire(now time.Time, b *Batch) bool {
	return !now.Before(b.Deadline) && c.give(b, errWaited)
}

// give refuses a batch that was admitted, and returns true.
func (c *Core) give(b *Batch, reason *protocol.Error) bool {
	c.refuse(b, c.held.refused(b, reason))
	return true
}

func (c *Core) refuse(b *Batch, r messages.Refusal) {
	c.stats.Refused++
	c.refused.add(b.sender(), r)
}
