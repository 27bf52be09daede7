package frontend

import (
	"context"
	"sync"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/protocol"
)

// requestsAtOnce bounds the requests of the producer API that are under way.
const requestsAtOnce = 64

// requests are those of the producer API. They wait for replicators, so that one
// must not wait for the other. It is safe for concurrent use.
type requests struct {
	slots  chan struct{}
	ctx    context.Context
	cancel context.CancelFunc
	wait   sync.WaitGroup
	mu     sync.Mutex // held while a request is added, or none may be any more
}

func (r *requests) start() {
	r.slots = make(chan struct{}, requestsAtOnce)
	r.ctx, r.cancel = context.WithCancel(context.Background())
}

// stop ends what is under way; what still comes is not served.
func (r *requests) stop() {
	r.mu.Lock()
	r.cancel()
	r.mu.Unlock()
	r.wait.Wait()
}

// run runs do aside, unless the requests have ended.
func (r *requests) run(do func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx.Err() == nil {
		r.wait.Go(do)
	}
}

// serveProducerAPI offers the API of producers.
func (s *Service) serveProducerAPI() error {
	s.requests.start()
	for name, handle := range map[string]handler{
		"init": s.initProducer, "list": s.listProducers, "info": s.producerInfo,
	} {
		err := s.endpoint(protocol.ProducerAPI+name, kindProducer, func(m *nats.Msg) {
			if name == "init" && nameless(m.Data) {
				s.serve(s.requests.ctx, m, kindProducer, handle)
				return
			}
			s.serveAside(m, handle)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// nameless says whether a request of init asks for a new id, for which nobody is
// waited for.
func nameless(data []byte) bool {
	var request protocol.ProducerInitRequest
	return len(data) <= protocol.MaxAPIRequest && decode(data, &request) == nil && request.Name == ""
}

// serveAside serves a request without holding up the next one. What is too much is
// told so: its sender may not wait for as long as the others take.
func (s *Service) serveAside(m *nats.Msg, handle handler) {
	select {
	case s.requests.slots <- struct{}{}:
	default:
		s.serve(s.requests.ctx, m, kindProducer, func(context.Context, []byte) (any, error) {
			return nil, protocol.Errorf(protocol.CodeOverloaded, "%d requests of the producer API are under way, the limit", requestsAtOnce)
		})
		return
	}
	s.requests.run(func() {
		defer func() { <-s.requests.slots }()
		s.serve(s.requests.ctx, m, kindProducer, handle)
	})
}
