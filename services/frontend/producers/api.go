// Package producers serves the API of producers. It assigns identities to producers, fences
// earlier instances of named ones, and lists the producers that partitions remember. It also
// truncates partitions, which their replicators do as well.
//
// Most requests need answers of replicators. Such a request is a conversation: it sends
// questions, which are repeated every heartbeat, and every answer that arrives is passed to
// all open conversations. The decisions of init are in core/producerinit.
package producers

import (
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/internal/producerregistry"
	"laneway.dev/internal/topics"
	"laneway.dev/internal/transport"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/frontend/api"
)

// Config is what an API needs.
type Config struct {
	Wire      *transport.Connection // for questions to replicators
	Topics    *topics.Registry
	Registry  *producerregistry.Registry
	Heartbeat time.Duration                                   // an unanswered question is repeated after it
	Asker     uint64                                          // drawn by chance; replicators answer to its subject
	Damage    func() map[protocol.Partition]messages.ReadOnly // of the read-only partitions
}

// API answers requests about producers. It is safe for concurrent use.
type API struct {
	config        Config
	server        *api.Server   // set by Serve
	slots         chan struct{} // of running requests
	conversations conversations
	questions     atomic.Uint64 // numbers the questions, apart from those of init
}

// New returns an API. Serve starts it.
func New(config Config) *API { return &API{config: config, slots: make(chan struct{}, requestsAtOnce)} }

// Serve serves the API on a server until that stops. It MUST be called exactly once. An init
// without a name needs no replicator and is served at once; other requests get a goroutine.
func (a *API) Serve(server *api.Server) error {
	a.server = server
	for name, handle := range map[string]api.Handler{
		"init": a.initProducer, "list": a.listProducers, "info": a.producerInfo,
	} {
		err := server.Endpoint(protocol.ProducerAPI+name, api.Producers, func(m *nats.Msg) {
			if name == "init" && nameless(m.Data) {
				server.Serve(m, api.Producers, handle)
				return
			}
			a.serveAside(m, api.Producers, handle)
		})
		if err != nil {
			return err
		}
	}
	return server.Endpoint(protocol.TopicAPI+"truncate", api.Topics, func(m *nats.Msg) { a.serveAside(m, api.Topics, a.truncate) })
}
