package exhaustive

import (
	"time"

	"laneway.dev/pkg/delivery"
	"laneway.dev/pkg/protocol"
	"laneway.dev/test/sim/check"
	"laneway.dev/test/sim/world"
)

// records is what each batch of a client has.
func records(client int) int { return 2 - client%2 }

// addClient adds a client that sends the batches of a lane.
func (s *schedule) addClient(n int, l Lane) {
	id := int64(n) + 1
	c := &world.Client{Number: n, ID: id, Plain: !l.Idempotent, Lane: world.Lane(n, id, !l.Idempotent), Records: l.Batches * records(n)}
	s.Clients = append(s.Clients, c)
	s.senders = append(s.senders, sender{})
	i := s.Connect(c)
	if c.Plain {
		return
	}
	i.Window = s.memo.root(n, func() world.Core {
		return world.NewWindow(world.WindowSettings{
			Instance: i.Index, Client: n, Lane: c.Lane, ID: id, Records: c.Records, Size: func(int) int { return records(n) },
			Delivery: delivery.Settings{
				Random: func() float64 { return 0 }, DeliveryTimeout: time.Hour,
				MinAttemptTimeout: 4 * heartbeat, MaxAttemptTimeout: 2 * deadline,
			},
		})
	})
}

// wants reports whether a client may have something to send.
func (s *schedule) wants(n int) bool {
	c, i := s.Clients[n], s.Instances[n]
	if c.Plain {
		return i.Next < c.Records
	}
	for batch := i.Acked / records(n); batch < c.Records/records(n); batch++ {
		if s.senders[n].flying>>batch&1 == 0 {
			return true
		}
	}
	return false
}

// next returns the next request of a client, if it wants to send one.
func (s *schedule) next(n int) (world.Request, bool) {
	c, i := s.Clients[n], s.Instances[n]
	if c.Plain {
		if i.Next == c.Records {
			return world.Request{}, false
		}
		r := s.Plain(i, check.Batch{Client: n, First: i.Next, Records: records(n)}, 0)
		i.Next += records(n)
		return r, true
	}
	sent := s.StepWindow(i, world.Send{Until: c.Records, Most: 1})
	if len(sent) == 0 {
		return world.Request{}, false
	}
	s.senders[n].flying |= 1 << sent[0].ID.Batch
	return sent[0], true
}

// produce lets a client send a request to a frontend. If to is nil, no frontend
// admits the request, and the client receives UNAVAILABLE.
func (s *schedule) produce(n int, to *world.Process) bool {
	r, some := s.next(n)
	if !some {
		return false
	}
	if to == nil {
		s.Say("%s is not admitted", r)
		s.reply(0, world.Answer{Request: r, Code: protocol.CodeUnavailable})
	} else {
		s.Deliver(to, r)
	}
	return true
}

// hear brings an answer to an idempotent client.
func (s *schedule) hear(a world.Answer) {
	s.senders[s.Instances[a.Instance].Client].flying &^= 1 << a.ID.Batch
	s.Hear(a)
}

// reconnect lets a client notice that its frontend has ended.
func (s *schedule) reconnect(n int) {
	s.Say("client %d connects again", n)
	s.senders[n] = sender{}
	s.Disconnect(s.Instances[n])
	s.Reconnect(s.Instances[n])
}
