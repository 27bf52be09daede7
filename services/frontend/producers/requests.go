package producers

import (
	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/protocol"
	"laneway.dev/services/frontend/api"
)

// requestsAtOnce bounds the running requests of the producer API. They wait for replicators, so each has
// its own goroutine.
const requestsAtOnce = 64

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
	case a.slots <- struct{}{}:
	default:
		a.server.Fail(m, kind,
			protocol.Errorf(protocol.CodeOverloaded, "%d requests that wait for replicators are running, the limit", requestsAtOnce))
		return
	}
	a.server.ServeAside(m, kind, handle, func() { <-a.slots })
}
