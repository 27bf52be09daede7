package random

import (
	"slices"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/frontend/core/fetch"
	"laneway.dev/test/sim/check"
	"laneway.dev/test/sim/world"
)

// silence is how long a consumer waits for a message of its fetch. As in the Go client, it is
// three heartbeats of a fetch.
const silence = 3 * heartbeat

// consumer is what a consumer does, and when.
type consumer struct {
	*world.Consumer
	slot   int       // of the run; a consumer that ends is replaced by another one there
	heard  time.Time // when it last sent a request or got a message
	lostTo time.Time // its connection is lost until then

	replaced bool // another consumer was started in its slot
}

// listen lets a consumer give up a fetch from which nothing comes.
func (r *run) listen(c *consumer) {
	if c.Ended {
		return
	}
	if r.Now.Sub(c.heard) >= silence {
		c.heard = r.Now
		r.GiveUp(c.Consumer)
	}
	r.after(silence/2, func() { r.listen(c) })
}

// fetchNow sends the next request of a consumer to any frontend.
func (r *run) fetchNow(c *consumer) {
	c.heard = r.Now
	request := r.Request(c.Consumer)
	attempt := c.Attempt()
	if r.unreachable(c) || r.loses() {
		r.counts.Lost++
		r.Say("  ! lost: the request for fetch %d of %s", attempt, c)
		return
	}
	r.after(r.latency(), func() {
		takers := r.Living(world.Frontend) // a fetch needs no epoch
		if len(takers) == 0 {
			if attempt == c.Attempt() {
				r.GiveUp(c.Consumer)
			}
			return
		}
		p := pick(r, takers)
		if r.Partitions[c.Partition].Deleted {
			return // it is answered that there is no such topic
		}
		r.awake(p, func() { r.OpenFetch(p, c.Consumer, attempt, request) })
	})
}

// unreachable reports whether the connection of a consumer is lost.
func (r *run) unreachable(c *consumer) bool { return !r.calm && r.Now.Before(c.lostTo) }

// disconnectConsumer takes the connection of a consumer away for a while.
func (r *run) disconnectConsumer() {
	if len(r.consumers) == 0 {
		return
	}
	r.counts.Disconnects++
	c := pick(r, r.consumers)
	c.lostTo = r.Now.Add(r.between(10*time.Millisecond, 2*time.Second))
	r.Say("%s is disconnected for %s", c, c.lostTo.Sub(r.Now).Round(time.Millisecond))
}

// disconnectFrontend disconnects a frontend from its consumers for a while. The frontend
// notices that only when it is connected again.
func (r *run) disconnectFrontend() {
	all := r.Living(world.Frontend)
	if len(all) == 0 {
		return
	}
	p := pick(r, all)
	d := r.between(10*time.Millisecond, 2*time.Second)
	r.counts.Disconnects++
	r.Say("%s is disconnected from consumers for %s", p, d.Round(time.Millisecond))
	if until := r.Now.Add(d); until.After(r.deaf[p]) {
		r.deaf[p] = until
	}
	r.after(d, func() {
		if r.Now.Before(r.deaf[p]) {
			return // another disconnection lasts longer
		}
		delete(r.deaf, p)
		r.awake(p, func() {
			moves := r.Broken(p)
			r.after(r.latency(), func() {
				for i, of := range r.Partitions {
					state := of.Log.State()
					r.after(r.latency(), func() { r.awake(p, func() { r.Renew(p, of, state, moves[i]) }) })
				}
			})
		})
	})
}

// apart reports whether nothing passes between a frontend and a consumer.
func (r *run) apart(p *world.Process, c *consumer) bool {
	return r.unreachable(c) || r.deafened(p)
}

// deafened reports whether a frontend has no connection to consumers.
func (r *run) deafened(p *world.Process) bool {
	until, deaf := r.deaf[p]
	return deaf && r.Now.Before(until)
}

// ToConsumer implements world.FetchScheduler.
func (r *run) ToConsumer(f *world.Fetch, m world.FetchMessage) (sent bool) {
	c := r.consumers[f.Consumer.Number]
	if r.deafened(f.By) && r.chance(0.5) {
		r.counts.NotSent++
		r.Say("  ! %s cannot send a message of %s", f.By, f)
		return false
	}
	if r.apart(f.By, c) || r.loses() {
		r.counts.Lost++
		r.Say("  ! lost: a message of %s", f)
		return true
	}
	r.onWay(link{f.By.Number, -1000 - c.Number}, r.latency(), false, func() {
		c.heard = r.Now
		r.Receive(f, m)
		if c.Ended {
			r.consumerEnded(c)
		}
	})
	return true
}

// consumerEnded starts another bounded consumer, until faults have ended.
func (r *run) consumerEnded(c *consumer) {
	if c.slot == 2 && !c.replaced && !r.calm {
		c.replaced = true
		r.after(r.between(0, time.Second), func() { r.startConsumer(c.slot) })
	}
}

// ToFetch implements world.FetchScheduler.
func (r *run) ToFetch(f *world.Fetch, control string) {
	c := r.consumers[f.Consumer.Number]
	if f.By.Dead || r.apart(f.By, c) || r.loses() {
		r.counts.Lost++
		r.Say("  ! lost: %q for %s", control, f)
		return
	}
	p := f.By
	r.onWay(link{-1000 - c.Number, p.Number}, r.latency(), false, func() {
		r.awake(p, func() { r.Control(f, control) })
	})
}

// Ask implements world.FetchScheduler.
func (r *run) Ask(f *world.Fetch, q fetch.Question) {
	p, of := f.By, f.Partition()
	answer := func(e fetch.Event) {
		r.after(r.between(200*time.Microsecond, 4*time.Millisecond), func() { r.awake(p, func() { r.Answer(f, e) }) })
	}
	if fromLog(q) && r.fault(r.config.Mix.Lose) {
		r.counts.Lost++
		r.Say("  ! lost: an answer to %s", f)
		answer(fetch.Failed{Err: protocol.NewError(protocol.CodeUnavailable, "simulated")})
		return
	}
	way := r.between(200*time.Microsecond, 4*time.Millisecond)
	if r.config.Mix.Archive {
		way = r.latency() // the log may be purged meanwhile
	}
	r.after(way, func() {
		switch q := q.(type) {
		case fetch.LookUp:
			if of.Deleted {
				answer(fetch.Failed{Err: protocol.NewError(protocol.CodeUnknownTopic, "the topic was deleted")})
				return
			}
			state := of.Log.State()
			r.after(r.latency(), func() { r.awake(p, func() { r.LookedUp(f, state) }) })
		case fetch.Read:
			limit := 1 + r.rng.IntN(min(q.Limit, 8))
			if !r.historyAway(q.History, answer) {
				r.countRead(of, q)
				answer(r.found(r.Entries(of, q, limit)))
			}
		case fetch.Narrow:
			if !r.historyAway(q.History, answer) {
				answer(r.found(r.Archive.Narrow(q)))
			}
		case fetch.Load:
			r.load(of, answer, q)
		case fetch.IsDeleted:
			answer(fetch.Deleted{Deleted: of.Deleted})
		}
	})
}

// found counts an answer about the history that an object of it was deleted.
func (r *run) found(e fetch.Event) fetch.Event {
	if f, failed := e.(fetch.Failed); failed && f.Err.Code == protocol.CodeCorrupt {
		r.counts.ReadInVain++
	}
	return e
}

// fromLog reports whether a question is about the log. JetStream may not answer it.
func fromLog(q fetch.Question) bool {
	switch q := q.(type) {
	case fetch.LookUp:
		return true
	case fetch.Read:
		return !q.History.Archived()
	}
	return false
}

// load reads the payloads of a fetch. A slow store takes many heartbeats.
func (r *run) load(of *world.Partition, answer func(fetch.Event), q fetch.Load) {
	took := time.Duration(0)
	if r.fault(r.config.Mix.SlowStore) {
		took = r.between(0, 4*heartbeat)
		r.Say("  ! a read of the object store takes %s", took.Round(time.Millisecond))
	}
	r.after(took, func() { answer(fetch.Loaded{Payloads: r.payloads(of, q.Extents), Random: r.rng.Float64()}) })
}

// payloads reads extents. Some cannot be read at the moment.
func (r *run) payloads(of *world.Partition, extents []messages.Extent) []fetch.Payload {
	all := make([]fetch.Payload, len(extents))
	for i, x := range extents {
		if r.fault(r.config.Mix.StoreFails) {
			all[i].Err = protocol.NewError(protocol.CodeStoreUnavailable, "simulated")
			continue
		}
		if r.Archive.Missing(x) {
			r.counts.ReadInVain++
			all[i].Err = protocol.NewError(protocol.CodeCorrupt, "there is no such object")
			continue
		}
		if frame, is, err := r.Archive.Content(x); is {
			all[i].Bytes = frame
			if err != nil {
				all[i].Err = protocol.NewError(protocol.CodeCorrupt, err.Error())
			}
			continue
		}
		if r.damaged(of, x) {
			all[i].Err = protocol.NewError(protocol.CodeCorrupt, "simulated")
			continue
		}
		all[i].Bytes = r.checks.Content(x).Payload()
	}
	return all
}

// damaged reports whether a batch in the object store is damaged. This is drawn when the
// batch is read for the first time.
func (r *run) damaged(of *world.Partition, x messages.Extent) bool {
	damaged, known := r.damage[x]
	if !known && r.fault(r.config.Mix.ObjectDamage) {
		damaged = true
		r.Say("  ! damaged: %s in the object store", r.checks.Content(x))
		r.World.See(of.Index, check.Damaged{Extent: x})
	}
	r.damage[x] = damaged
	return damaged
}

// Confirm implements world.FetchScheduler.
func (r *run) Confirm(p *world.Process, of *world.Partition) {
	r.after(r.latency(), func() {
		state := of.Log.State()
		r.after(r.latency(), func() { r.awake(p, func() { r.Advance(p, of, state) }) })
	})
}

// WakeFetch implements world.FetchScheduler.
func (r *run) WakeFetch(f *world.Fetch, at time.Time) {
	p := f.By
	r.after(max(0, at.Sub(r.Clock(p))), func() {
		if f.Wake.Equal(at) { // nothing has happened since
			r.awake(p, func() { r.Answer(f) })
		}
	})
}

// Refetch implements world.FetchScheduler.
func (r *run) Refetch(wc *world.Consumer) {
	c := r.consumers[wc.Number]
	c.heard = r.Now
	r.after(r.between(time.Millisecond, 300*time.Millisecond), func() { r.fetchNow(c) })
}

// consumersDone reports whether all consumers have everything that they want.
func (r *run) consumersDone() bool {
	return !slices.ContainsFunc(r.consumers, func(c *consumer) bool { return !r.Satisfied(c.Consumer) })
}
