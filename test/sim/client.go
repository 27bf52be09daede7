package sim

import (
	"fmt"
	"time"

	"laneway.dev/pkg/delivery"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	frontend "laneway.dev/services/frontend/core"
	"laneway.dev/services/frontend/core/producerinit"
)

// mostRecords is how many records a batch has at most, which a source has for each
// batch that it is to have at least.
const mostRecords = 2

// client feeds a source of records to the partition. A named one may die and come
// back as another instance under its name; a plain one has no producer id, and
// sends nothing twice.
type client struct {
	w        *world
	number   int
	named    bool
	plain    bool
	repeats  bool   // a plain one that names its batches, and sends again what is not acknowledged
	key      string // of its lane
	id       int64
	start    int32       // sequence of the source's first record
	record   *nameRecord // of a named one
	records  int         // of the source
	instance *instance
	done     bool
	resting  bool // until it is forgotten
	rested   bool
	restarts bool // it goes on in the next epoch when most is done, without a fence
}

// instance is one life of a client.
type instance struct {
	c      *client
	number int
	id     int64
	epoch  int16
	window *delivery.Window[batchKey]
	next   int // record of the source that is sent next
	acked  int // all before it are
	dead   bool
	waking time.Time
	flying int // of a plain one
	inits  int // that were sent
}

// newRecord returns the record of a name that is new to the registry.
func (c *client) newRecord() *nameRecord {
	return &nameRecord{fence: messages.ProducerFence{ProducerID: c.id, Name: fmt.Sprint("client-", c.number)}}
}

// begin begins an instance. That of a named client asks for its epoch and for how
// far it came.
func (c *client) begin() {
	i := &instance{c: c, id: c.id}
	if c.instance != nil {
		i.number = c.instance.number + 1
	}
	c.instance = i
	switch {
	case c.plain:
		i.step()
	case !c.named:
		i.open(c.start)
	default:
		i.init()
	}
}

// open makes the window of an instance that goes on at a sequence.
func (i *instance) open(sequence int32) {
	i.next = int(protocol.AddSequence(sequence, -int64(i.c.start)))
	i.acked = i.next
	i.c.w.say("%s begins in epoch %d at record %d", i, i.epoch, i.next)
	settings := delivery.Settings{
		First: sequence, Random: i.c.w.rng.Float64, DeliveryTimeout: time.Hour,
		MinAttemptTimeout: attemptTimeout, MaxAttemptTimeout: 2 * deadline, MaxBackoff: 300 * time.Millisecond,
	}
	if i.c.w.config.Mix.Memory > 0 {
		settings.MaxAttemptTimeout, settings.MaxBackoff = deadline, 2*time.Second
	}
	i.window = delivery.New[batchKey](settings)
	i.step()
}

// init gets the next epoch and fences the instances before. It is sent again until it is
// answered.
func (i *instance) init() {
	w := i.c.w
	if i.dead || i.window != nil {
		return
	}
	w.after(deadline, i.init)
	all := w.living(frontendRole)
	if len(all) == 0 {
		return
	}
	i.inits++
	attempt := i.inits
	p := pick(w, all)
	p.run(func() {
		if i.dead {
			return // the registry would take it for the youngest instance, if it comes that late
		}
		p.service.(*frontendService).init(i.c.record, i.String(), func(r producerinit.Result) {
			if !i.dead && i.window == nil && attempt == i.inits { // the client waits for this answer
				i.identified(r)
			}
		})
	})
}

// identified handles the answer to an init.
func (i *instance) identified(r producerinit.Result) {
	w := i.c.w
	if r.Err != nil {
		switch protocol.AsError(r.Err).Code {
		case protocol.CodeTooManyProducers, protocol.CodeUnavailable:
			return // another init follows: some producers may be forgotten by then
		}
		w.violated("fencing: %s: init is answered with %v", i, r.Err)
		return
	}
	i.id, i.epoch = r.Response.ProducerID, r.Response.ProducerEpoch
	position := r.Response.Positions[0]
	w.checks.fenced(i, position)
	sequence := i.c.start
	if position.LastSequence != nil {
		sequence = protocol.AddSequence(*position.LastSequence, 1)
	}
	i.open(sequence)
}

func (i *instance) String() string { return fmt.Sprintf("client-%d.%d", i.c.number, i.number) }

// step fills the window and sends what it wants to send.
func (i *instance) step() {
	w := i.c.w
	if i.dead {
		return
	}
	if i.c.plain {
		i.stepPlain()
		return
	}
	if i.restarted() {
		return
	}
	for i.window.Room() && i.next < i.c.records && !i.rests() && !i.c.restarting(i.next) {
		key := batchKey{i.c.number, i.next, min(1+w.rng.IntN(mostRecords), i.c.records-i.next)}
		if err := i.window.Add(w.now, key, key.records); err != nil {
			w.violated("I7: %s takes no batch: %v", i, err)
			return
		}
		i.next += key.records
	}
	for s, ok := i.window.Next(w.now); ok; s, ok = i.window.Next(w.now) {
		i.send(&request{key: s.Batch, instance: i, id: s.ID, produce: frontend.Produce{
			Submission: messages.Submission{
				Batch: messages.Batch{
					Ticket: messages.Ticket{Lane: i.c.key}, Records: uint32(s.Batch.records),
					Sequence: messages.Sequence{ProducerID: i.id, ProducerEpoch: i.epoch, First: s.Sequence},
				},
				FirstUnacked: s.FirstUnacked,
			},
			Payload: s.Batch.payload(),
		}})
		if s.Attempt > 0 {
			w.counts.Resent++
		}
	}
	for key, ok := i.window.Acked(); ok; key, ok = i.window.Acked() {
		i.acked = key.first + key.records
	}
	i.rests()
	if i.restarted() {
		return
	}
	i.ended()
	if at, ok := i.window.Wake(); ok && !at.Equal(i.waking) {
		i.waking = at
		w.after(max(0, at.Sub(w.now)), i.step)
	}
}

// restarting says whether the client sends nothing new until it has begun its next epoch.
func (c *client) restarting(next int) bool { return c.restarts && next >= c.records*3/4 }

// restarted lets the next instance go on at sequence 0, once all that this one has sent
// is acknowledged.
func (i *instance) restarted() bool {
	c := i.c
	if !c.restarting(i.next) || !i.idle() {
		return false
	}
	c.restarts, i.dead = false, true
	c.w.counts.EpochsBegun++
	c.start = protocol.AddSequence(0, -int64(i.next))
	c.instance = &instance{c: c, number: i.number + 1, id: i.id, epoch: i.epoch + 1}
	c.instance.open(0)
	return true
}

// rests says whether the instance sends nothing new in the middle of its work, for so
// long that the replicator forgets its producer or its message ids. All that it has
// sent is answered before, as it must be. A named client would be told nothing of what
// was forgotten.
func (i *instance) rests() bool {
	c := i.c
	if c.w.config.Mix.Memory == 0 || c.rested || c.named || i.next < c.records/2 {
		return false
	}
	if !c.resting && i.idle() {
		c.resting = true
		c.w.counts.Rests++
		c.w.say("%s rests", i)
		c.w.after(c.w.config.Mix.Memory+c.w.between(time.Second, 4*time.Second), func() {
			c.rested = true
			i.step()
		})
	}
	return true
}

// idle says whether everything that was sent is answered.
func (i *instance) idle() bool {
	if i.c.plain {
		return i.flying == 0
	}
	return i.acked == i.next
}

// ended looks whether the instance has done its work, or may not go on.
func (i *instance) ended() {
	if err := i.window.Err(); err != nil {
		i.dead = true
		i.c.w.say("%s fails: %v", i, err)
		for key, ok := i.window.Failed(); ok; key, ok = i.window.Failed() {
			i.c.w.checks.failed(i, key)
		}
		if protocol.AsError(err).Code == protocol.CodeInvalidEpoch && i != i.c.instance {
			i.c.w.counts.ClientsFenced++
			return
		}
		i.c.w.violated("I7: %s fails for good: %v", i, err)
		return
	}
	if i.acked == i.c.records {
		i.c.done = true
	}
}

// restart replaces the instance of a named client; the old one dies, or goes on as
// if nothing had happened.
func (c *client) restart(oldDies bool) {
	if !c.named || c.done || c.instance == nil {
		return
	}
	c.w.counts.ClientRestarts++
	c.w.say("%s is replaced, and %s", c.instance, map[bool]string{true: "dies", false: "goes on"}[oldDies])
	c.instance.dead = c.instance.dead || oldDies || c.instance.window == nil
	c.begin()
}

// loseName loses the record of a named client, whose next instance gets another id. It
// is lost only after the replicator has learned the name.
func (c *client) loseName(oldDies bool) {
	if !c.named || c.done || c.instance == nil || c.instance.window == nil {
		return
	}
	c.w.counts.NamesLost++
	c.w.say("the record of client-%d is lost", c.number)
	c.id += int64(c.w.config.Clients)
	c.record = c.newRecord()
	c.restart(oldDies)
}

// disconnect takes the client's connection away for a while, and with it the answers
// that are on their way. A plain client waits for them until its patience ends.
func (c *client) disconnect(d time.Duration) {
	i := c.instance
	if c.plain || i == nil || i.window == nil || i.dead {
		return
	}
	c.w.counts.Disconnects++
	c.w.say("%s is disconnected for %s", i, d.Round(time.Millisecond))
	i.window.Disconnect(c.w.now)
	c.w.after(d, func() {
		i.window.Reconnect()
		i.step()
	})
}
