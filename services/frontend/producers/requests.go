package producers

import (
	"context"
	"sync"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/protocol"
	"laneway.dev/services/frontend/api"
)

// requestsAtOnce bounds the requests of the producer API that are under way.
const requestsAtOnce = 64

// requests are the requests of the API that are under way. They wait for replicators, so
// each has its own goroutine. It is safe for concurrent use.
type requests struct {
	slots  chan struct{}
	ctx    context.Context
	cancel context.CancelFunc
	wait   sync.WaitGroup
	mu     sync.Mutex // held while a request is added, and while the last ones are ended
}

func newRequests() *requests {
	r := &requests{slots: make(chan struct{}, requestsAtOnce)}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

// stop ends the requests that are under way. No other is served after that.
func (r *requests) stop() {
	r.mu.Lock()
	r.cancel()
	r.mu.Unlock()
	r.wait.Wait()
}

// run runs do in a goroutine, unless the requests have ended.
func (r *requests) run(do func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx.Err() == nil {
		r.wait.Go(do)
	}
}

// nameless reports whether a request of init asks for a new id, for which no replicator is
// asked.
func nameless(data []byte) bool {
	var request protocol.ProducerInitRequest
	return len(data) <= protocol.MaxAPIRequest && api.Decode(data, &request) == nil && request.Name == ""
}

// serveAside serves a request without holding up the next one. A request beyond the limit
// is rejected at once, because its sender may not wait for as long as the others take.
func (a *API) serveAside(m *nats.Msg, handle api.Handler) {
	select {
	case a.requests.slots <- struct{}{}:
	default:
		a.server.Fail(m, api.Producers,
			protocol.Errorf(protocol.CodeOverloaded, "%d requests of the producer API are under way, the limit", requestsAtOnce))
		return
	}
	a.requests.run(func() {
		defer func() { <-a.requests.slots }()
		a.server.Serve(a.requests.ctx, m, api.Producers, handle)
	})
}
