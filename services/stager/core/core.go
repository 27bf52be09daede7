// Package core decides how a stager gathers batches into objects, which uploads run, what
// becomes of an upload that fails, and which answer each batch gets.
//
// It owns the batches that the stager has accepted until it has answered for them, once
// each: staged or refused. Events and time come in, effects go out as data. It keeps no
// order, because uploads finish in any order, and it stores nothing: a batch that is lost
// with its stager is staged again by its frontend.
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
	// expireEvery is how often the waiting batches are searched for those past their
	// deadline. It only bounds how late they are refused: each batch is checked once more
	// before its upload.
	expireEvery = 100 * time.Millisecond
	// busyLinger is how long an object that is not full waits for more batches while an
	// upload runs. It ends sooner if that upload does.
	busyLinger = 10 * time.Millisecond
	// minTick bounds how often a short linger makes the core look at the time.
	minTick = time.Millisecond
)

// Settings are the limits of a core.
type Settings struct {
	Linger        time.Duration // how long a batch waits for others at most; 0 is only until an upload may begin
	ObjectBytes   int64         // payload bytes at which an object is closed
	ObjectBatches int           // batches at which an object is closed
	Uploads       int           // uploads at once
	MemoryBytes   int64         // of all batches that are not answered
}

// Tick returns how often the core wants to look at the time while nothing happens: often
// enough to end a linger without much delay.
func (s Settings) Tick() time.Duration {
	if s.Linger == 0 {
		return busyLinger
	}
	return min(max(s.Linger/8, minTick), busyLinger)
}

// Event is what the core takes: a messages.Stage, or one of Uploaded, Drain and Abandon.
type Event any

// Uploaded is the end of an upload. It hands the object back to the core.
type Uploaded struct {
	Object  *Object
	Size    int64             // of the object as stored, in bytes
	Extents []messages.Extent // one for each batch
	Failed  *protocol.Error   // why the object is not in the store; nil if it is
}

// Drain says that no more batches will come: what waits is uploaded without lingering.
type Drain struct{}

// Abandon says that there is no time left: what waits and what comes later is refused.
// Uploads that have started still end.
type Abandon struct{}

// Effects is what a step wants done. An object belongs to its upload until
// Uploaded hands it back.
type Effects struct {
	Uploads []*Object
	Send    []messages.Envelope
}

// Stats counts what happened.
type Stats struct {
	Batches   uint64 // staged
	Objects   uint64 // stored
	Bytes     uint64 // of those objects
	Refused   uint64 // batches
	Failures  uint64 // uploads that failed for good
	Retries   uint64 // of uploads
	Uploading int    // uploads in flight
	Waiting   int    // batches that wait for an upload
	Held      int64  // memory of the batches that are not answered, in bytes
}

// Core serves all partitions of a stager. It belongs to one goroutine.
type Core struct {
	settings Settings
	busy     *protocol.Error

	queue     queue
	held      inventory
	uploading int
	expired   time.Time // when the waiting batches were last searched
	draining  bool
	abandoned bool
	stats     Stats

	// What this turn does.
	staged  outbox[messages.StagedBatch]
	refused outbox[messages.Refusal]
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
	}
}

// Step takes what happened, in order, and returns what is to be done. Without
// events it only does what time asks for.
func (c *Core) Step(now time.Time, events []Event) Effects {
	c.fx = Effects{}
	for _, e := range events {
		switch e := e.(type) {
		case messages.Stage:
			c.stage(now, &e)
		case Uploaded:
			c.uploaded(&e)
		case Drain:
			c.draining = true
		case Abandon:
			c.draining, c.abandoned = true, true
		}
	}
	c.dropWaiting(now)
	c.begin(now)
	c.flush()
	return c.fx
}

// Ended reports whether the core is draining and holds no batch.
func (c *Core) Ended() bool { return c.draining && c.uploading == 0 && c.queue.empty() }

// Stats returns what happened so far, except Retries, which the shell counts.
func (c *Core) Stats() Stats {
	s := c.stats
	s.Uploading, s.Waiting, s.Held = c.uploading, c.queue.waiting, c.held.bytes
	return s
}

var (
	errTooLate  = protocol.NewError(protocol.CodeDeadlinePassed, "its deadline had passed when it reached the stager")
	errWaited   = protocol.NewError(protocol.CodeDeadlinePassed, "its deadline passed while it waited for an upload")
	errLongName = protocol.Errorf(protocol.CodeInvalidRequest, "the name of the topic, the lane or the message id has more than %d bytes", maxName)
	// Busy makes the frontend ask again, and another stager may take the batch.
	errEnding = protocol.NewError(protocol.CodeStagerBusy, "the stager is stopping")
)

// stage admits the batches of a message or refuses them.
func (c *Core) stage(now time.Time, m *messages.Stage) {
	for i := range m.Batches {
		b := Batch{StageBatch: m.Batches[i], Partition: m.Partition, Epoch: m.Epoch, Arrived: now}
		switch reason := c.objection(&b); {
		case reason != nil:
			c.refuse(&b, refusal(&b, reason))
		case !c.held.admit(&b):
			c.refuse(&b, refusal(&b, c.busy))
		default:
			b.Deadline = now.Add(remaining(b.Remaining))
			c.queue.add(b, len(m.Batches)-i-1)
		}
	}
}

// objection returns why this stager never stages a batch; nil if it may.
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

// uploaded answers for all batches of an object.
func (c *Core) uploaded(u *Uploaded) {
	c.uploading--
	batches := u.Object.Batches
	if u.Failed != nil {
		c.stats.Failures++
		for i := range batches {
			c.refuse(&batches[i], c.held.refused(&batches[i], u.Failed))
		}
		return
	}
	c.stats.Objects++
	c.stats.Bytes += uint64(u.Size)
	c.stats.Batches += uint64(len(batches))
	for i := range batches {
		c.staged.add(batches[i].sender(), c.held.staged(&batches[i], u.Extents[i]))
	}
}

// dropWaiting refuses the waiting batches that are past their deadline, or all of them
// after Abandon.
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
	for c.uploading < c.settings.Uploads && c.queue.ready(now, c.linger()) {
		object := c.queue.take()
		object.drop(func(b *Batch) bool { return c.expire(now, b) })
		if len(object.Batches) == 0 {
			continue
		}
		c.uploading++
		c.fx.Uploads = append(c.fx.Uploads, object)
	}
}

// linger returns how long a batch waits for others. It is at least busyLinger while an upload
// runs: with a fast store, more uploads in parallel would only make the objects smaller, and
// each object costs a file, two syncs and a message.
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
