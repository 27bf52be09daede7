package scripted

import (
	"strconv"
	"time"

	"laneway.dev/pkg/protocol"
	"laneway.dev/services/frontend/core/fetch"
	"laneway.dev/test/sim/world"
)

// Times of a consumer.
const (
	silence = 3 * heartbeat // without a message, after which it gives a fetch up
	pause   = heartbeat / 2 // before the next fetch
)

// consumer is a consumer and when it last sent a request or received a message.
type consumer struct {
	*world.Consumer
	heard time.Time
}

// consume starts a consumer.
func (s *Script) consume(c *Command) {
	wanted := protocol.FetchRequest{Frames: true, WindowBytes: int64(c.number("window", 1<<10))}
	for _, word := range c.Words {
		wanted.Follow = wanted.Follow || word == "follow"
	}
	if offset := int64(c.number("offset", -1)); offset >= 0 {
		wanted.Offset = &offset
	} else if wanted.From = c.Options["from"]; wanted.From == "" {
		wanted.From = protocol.FromEarliest
	}
	k := &consumer{Consumer: &world.Consumer{Number: len(s.consumers), Wanted: wanted}}
	if wanted.Offset != nil {
		k.Reader.StartAt(*wanted.Offset)
	}
	s.consumers = append(s.consumers, k)
	s.fetch(k)
}

// fetch lets a consumer send its next request, which goes to the newest frontend.
func (s *Script) fetch(c *consumer) {
	c.heard = s.Now
	request := s.Request(c.Consumer)
	attempt := c.Attempt()
	s.start(&item{kind: "fetch", from: c.String(), what: "fetch " + strconv.Itoa(attempt), arrives: func() {
		var taker *world.Process
		for _, p := range s.Living(world.Frontend) {
			if !s.Hanging(p) { // a fetch needs no epoch
				taker = p
			}
		}
		if taker == nil {
			s.GiveUp(c.Consumer)
			return
		}
		s.OpenFetch(taker, c.Consumer, attempt, request)
	}})
}

// awake does something in a frontend: now, once it continues, or never if it ends.
func (s *Script) awake(p *world.Process, do func()) {
	switch {
	case p.Dead:
	case s.Hanging(p):
		s.asleep[p] = append(s.asleep[p], do)
	default:
		do()
	}
}

// listen lets consumers give up fetches from which nothing comes.
func (s *Script) listen() {
	for _, c := range s.consumers {
		if !c.Ended && s.Now.Sub(c.heard) >= silence {
			s.Say("%s has received nothing for %s", c, silence)
			c.heard = s.Now
			s.GiveUp(c.Consumer)
		}
	}
}

// ToConsumer implements world.FetchScheduler.
func (s *Script) ToConsumer(f *world.Fetch, m world.FetchMessage) (sent bool) {
	c := s.consumers[f.Consumer.Number]
	i := &item{kind: "frame", from: f.By.Name, to: c.String(), what: "frame at offset " + strconv.FormatInt(m.Offset, 10)}
	if m.Status != nil {
		i.kind, i.what = "status", "status "+m.Status.Code
	}
	i.arrives = func() {
		if m.Attempt != c.Attempt() {
			s.Say("  %s ignores the %s, which is of an older fetch", c, i.what)
		}
		c.heard = s.Now
		s.Receive(f, m)
	}
	s.start(i)
	return true
}

// ToFetch implements world.FetchScheduler.
func (s *Script) ToFetch(f *world.Fetch, control string) {
	what := "credit of " + control + " bytes"
	if control == protocol.CancelFetch {
		what = "cancellation"
	}
	s.start(&item{kind: "credit", from: f.Consumer.String(), to: f.By.Name, what: what, arrives: func() {
		s.awake(f.By, func() {
			s.Say("  %s gets a %s", f.By, what)
			s.Control(f, control)
		})
	}})
}

// Ask implements world.FetchScheduler.
func (s *Script) Ask(f *world.Fetch, q fetch.Question) {
	s.start(&item{kind: "question", from: f.By.Name, what: "question of " + f.String(), arrives: func() {
		s.awake(f.By, func() { s.respond(f, q) })
	}})
}

func (s *Script) respond(f *world.Fetch, q fetch.Question) {
	switch q := q.(type) {
	case fetch.LookUp:
		s.LookedUp(f, f.Partition().Log.State())
	case fetch.Read:
		if q.History.Archived() {
			s.Say("  %s reads entry %d of the history", f.By, q.From)
		}
		s.Answer(f, s.Entries(f.Partition(), q, q.Limit))
	case fetch.Load:
		all := make([]fetch.Payload, len(q.Extents))
		for i, x := range q.Extents {
			if frame, is, _ := s.Archive.Content(x); is {
				all[i].Bytes = frame
				continue
			}
			all[i].Bytes = s.stored[x].Payload()
		}
		s.Answer(f, fetch.Loaded{Payloads: all})
	case fetch.Narrow:
		s.Answer(f, s.Archive.Narrow(q))
	case fetch.IsDeleted:
		s.Answer(f, fetch.Deleted{})
	}
}

// Confirm implements world.FetchScheduler.
func (s *Script) Confirm(p *world.Process, of *world.Partition) {
	s.start(&item{kind: "question", from: p.Name, what: "look at the end of the log", arrives: func() {
		s.awake(p, func() { s.Advance(p, of, of.Log.State()) })
	}})
}

// WakeFetch implements world.FetchScheduler.
func (s *Script) WakeFetch(f *world.Fetch, at time.Time) {
	s.start(&item{at: at, arrives: func() {
		if f.Wake.Equal(at) { // nothing has happened since
			s.awake(f.By, func() { s.Answer(f) })
		}
	}})
}

// Refetch implements world.FetchScheduler.
func (s *Script) Refetch(wc *world.Consumer) {
	c := s.consumers[wc.Number]
	c.heard = s.Now
	s.start(&item{at: s.Now.Add(pause), arrives: func() { s.fetch(c) }})
}
