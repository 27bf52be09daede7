package scripted

import (
	"time"

	"laneway.dev/pkg/delivery"
	"laneway.dev/pkg/protocol"
	"laneway.dev/test/sim/check"
	"laneway.dev/test/sim/world"
)

// source is how many records a client has at most.
const source = 1 << 20

// connect starts a client.
func (s *Script) connect(plain bool) {
	n := len(s.Clients)
	c := &world.Client{Number: n, ID: int64(n) + 1, Plain: plain, Lane: world.Lane(n, int64(n)+1, plain), Records: source}
	s.Clients = append(s.Clients, c)
	i := s.Connect(c)
	s.Say("%s connects, with the lane %s", i, c.Lane)
}

// produce lets a client send its next batch.
func (s *Script) produce(i *world.Instance, records int, to string) {
	c := s.Clients[i.Client]
	if c.Plain {
		r := s.Plain(i, check.Batch{Client: c.Number, First: i.Next, Records: records}, 0)
		i.Next += records
		s.request(i, r, to)
		return
	}
	if i.Window == nil {
		i.Window = s.window(i, c)
	}
	s.size = records
	for _, r := range s.StepWindow(i, world.Send{Until: i.Next + records}) {
		s.request(i, r, to)
	}
}

// window returns the window of an idempotent client.
func (s *Script) window(i *world.Instance, c *world.Client) world.Machine {
	return &world.Live{Core: world.NewWindow(world.WindowSettings{
		Instance: i.Index, Client: c.Number, Lane: c.Lane, ID: c.ID, Records: source, Size: func(int) int { return s.size },
		Delivery: delivery.Settings{
			Random: func() float64 { return 0 }, DeliveryTimeout: time.Hour,
			MinAttemptTimeout: attemptTimeout, MaxAttemptTimeout: 2 * deadline, MaxBackoff: 300 * time.Millisecond,
		},
	})}
}

// request sends a request to the named frontend or, without a name, to the newest one that
// admits requests.
func (s *Script) request(i *world.Instance, r world.Request, to string) {
	s.Say("  %s sends %s", i, r)
	s.start(&item{kind: "request", from: i.String(), to: to, what: r.String(), arrives: func() {
		var taker *world.Process
		for _, p := range s.Living(world.Frontend) {
			if p.Shares[0].Ready && (to == "" || p.Name == to) {
				taker = p
			}
		}
		if taker == nil {
			s.Hear(world.Answer{Request: r, Code: protocol.CodeUnavailable, Detail: "no responders"})
			return
		}
		s.Deliver(taker, r)
	}})
}

// hear brings an answer to its client.
func (s *Script) hear(i *world.Instance, a world.Answer) {
	s.Hear(a)
	s.resend(i)
}

// wakeClients lets clients send again what has had no answer for too long.
func (s *Script) wakeClients() {
	for _, i := range s.Instances {
		if !i.Wake.IsZero() && !i.Wake.After(s.Now) {
			s.resend(i)
		}
	}
}

// resend lets a client send what it has to send again.
func (s *Script) resend(i *world.Instance) {
	if i.Dead || i.Window == nil {
		return
	}
	for _, r := range s.StepWindow(i, world.Send{Until: i.Next}) {
		s.request(i, r, "")
	}
}
