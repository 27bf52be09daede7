package producers

import (
	"context"
	"sync"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/protocol"
	"laneway.dev/services/frontend/api"
)

// requestsAtOnce bounds the running requests of the producer API.
const requestsAtOnce = 64

// requests are the running requests of the API. They wait for replicators, so each has its
// own goroutine. It is safe for concurrent use.
type requests struct {
	slots  chan struct{}
	ctx    context.Context
	cancel context.CancelFunc
	wait   sync.WaitGroup
	mu     sync.Mutex // held while a request is started, and while all are canceled
}

func newRequests() *requests {
	r := &requests{slots: make(chan struct{}, requestsAtOnce)}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

// stop cancels the running requests and waits for them. No other request starts after it.
func (r *requests) stop() {
	r.mu.Lock()
	r.cancel()
	r.mu.Unlock()
	r.wait.Wait()
}

// run runs do in a goroutine, unless stop was called.
func (r *requests) run(do func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx.Err() == nil {
		r.wait.Go(do)
	}
}

// nameless reports whether an init has no name. Such a request gets a new id, without a
// question to a replicator.
func nameless(data []byte) bool {
	var request protocol.ProducerInitRequest
	return len(data) <= protocol.MaxAPIRequest && api.Decode(data, &request) == nil && request.Name == ""
}

// serveAside serves a request in a goroutine, so that it does not delay the next one. A
// request above the limit is rejected at once: if it waited for the others, its sender could
// time out before the answer.
func (a *API) serveAside(m *nats.Msg, kind api.Kind, handle api.Handler) {
	select {
	case a.requests.slots <- struct{}{}:
	default:
		a.server.Fail(m, kind,
			protocol.Errorf(protocol.CodeOverloaded, "%d requests that wait for replicators are running, the limit", requestsAtOnce))
		return
	}
	a.requests.run(func() {
		defer func() { <-a.requests.slots }()
		a.server.Serve(a.requests.ctx, m, kind, handle)
	})
}
