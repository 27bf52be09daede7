package frontend

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"laneway.dev/internal/transport"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// apiVersion is the version that NATS micro reports.
const apiVersion = "0.1.0"

// api is how requests of the APIs arrive.
//
// NATS micro only announces the service, for the command nats micro. It does not
// serve requests: it does not tell how long a header block was, and therefore not
// whether the block was decoded as a whole.
type api struct {
	endpoints []*nats.Subscription
	announced micro.Service
}

// serveAPI offers the APIs of topics and producers.
func (s *Service) serveAPI() (err error) {
	s.api.announced, err = micro.AddService(s.config.Conn, micro.Config{
		Name: "laneway", Version: apiVersion, Description: "Laneway: administration of topics and producers", QueueGroup: messages.FrontendQueue,
		Metadata: map[string]string{"subjects": protocol.TopicAPI + "> " + protocol.ProducerAPI + ">"},
	})
	if err != nil {
		return fmt.Errorf("announce the API: %w", err)
	}
	if err := s.serveTopicAPI(); err != nil {
		return err
	}
	if err := s.serveProducerAPI(); err != nil {
		return err
	}
	return s.wire.Flush(5 * time.Second)
}

// endpoint hands the requests of a subject to serve, one after the other. One
// whose header block is malformed is answered with that.
func (s *Service) endpoint(subject, kind string, serve func(*nats.Msg)) error {
	sub, err := s.config.Conn.QueueSubscribe(subject, messages.FrontendQueue, func(m *nats.Msg) {
		if malformed := transport.ReadHeader(m); malformed != nil {
			s.serve(context.Background(), m, kind, func(context.Context, []byte) (any, error) { return nil, malformed })
			return
		}
		serve(m)
	})
	if err != nil {
		return fmt.Errorf("subscribe to %s: %w", subject, err)
	}
	s.api.endpoints = append(s.api.endpoints, sub)
	return nil
}

// stop lets no more requests arrive. It does not wait for those that have.
func (a *api) stop() error {
	errs := []error{a.announced.Stop()}
	for _, sub := range a.endpoints {
		if err := sub.Drain(); err != nil {
			errs = append(errs, transport.Unsubscribe(sub))
		}
	}
	return errors.Join(errs...)
}
