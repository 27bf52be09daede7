package replicator

import (
	"context"
	"sync/atomic"

	"laneway.dev/internal/supervisor"
	"laneway.dev/internal/tenure"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/replicator/core"
)

// log is what a service knows of one log. It is safe for concurrent use.
type log struct {
	number  uint16
	service *Service
	place   *tenure.Place[*work]

	// Shared with the work on the log, as place.Do says.
	partitions map[protocol.Partition]*partition
	past       core.Stats // of the work that has ended
}

func (s *Service) newLog(number uint16) *log {
	l := &log{number: number, service: s, partitions: make(map[protocol.Partition]*partition)}
	l.place = s.tenures.Add(number, l.begin)
	return l
}

// partition is one partition of a log, with an owner as long as this instance owns the log.
type partition struct {
	id    protocol.Partition
	log   *log
	topic protocol.Topic        // shared with the work on the log
	owner atomic.Pointer[owner] // nil if the instance does not own the log
}

var _ supervisor.Actor = (*partition)(nil)

func (s *Service) partition(topic protocol.Topic, id protocol.Partition) *partition {
	return &partition{id: id, log: s.log(id.Log), topic: topic}
}

// Start implements supervisor.Actor.
func (p *partition) Start() {
	p.log.place.Do(func(w *work, owned bool) {
		p.log.partitions[p.id] = p
		if owned {
			o := w.newOwner(p.topic, p.id)
			p.owner.Store(o)
			_ = w.mailbox.Put(context.Background(), added{o}) // an error means that the actor is ending
		}
	})
}

// Receive implements supervisor.Actor. Messages come to the log, not to the partition.
func (*partition) Receive(context.Context, messages.Message) {}

// Configure implements supervisor.Actor.
func (p *partition) Configure(ctx context.Context, topic protocol.Topic) {
	p.log.place.Do(func(*work, bool) {
		p.topic = topic
		if o := p.owner.Load(); o != nil {
			o.configure(ctx, topic)
		}
	})
}

// End implements supervisor.Actor.
func (p *partition) End(error) {
	p.log.place.Do(func(*work, bool) {
		delete(p.log.partitions, p.id)
		if o := p.owner.Load(); o != nil {
			o.end()
		}
	})
}

// Await implements supervisor.Actor. It returns when no effect is under way.
func (p *partition) Await() {
	if o := p.owner.Load(); o != nil {
		<-o.ended
	}
}

// check returns why this instance cannot append to a log that it owns, or nil.
func (p *partition) check() error {
	if o := p.owner.Load(); o != nil {
		return o.check()
	}
	return nil
}
