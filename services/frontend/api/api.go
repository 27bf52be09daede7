// Package api carries the requests of Laneway's administration APIs: JSON requests over
// NATS, each answered with JSON. What a request does is up to its handler.
package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"go.uber.org/zap"

	"laneway.dev/internal/transport"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// version is the version that NATS micro reports.
const version = "0.1.0"

// Timeout bounds one request.
const Timeout = 10 * time.Second

// Kind names the API of a request, as the counter of errors does.
type Kind string

// The APIs.
const (
	Topics    Kind = "topic"
	Producers Kind = "producer"
)

// Handler answers the body of a request with what is encoded as JSON, or with an error.
type Handler func(context.Context, []byte) (any, error)

// Server receives and answers requests. It is safe for concurrent use.
//
// NATS micro only announces the service, for the command nats micro. It does not serve the
// requests, because it does not report the length of their header blocks. Without the length,
// the server cannot check that a header block was decoded completely.
type Server struct {
	conn      *nats.Conn
	log       *zap.Logger
	failed    func(Kind, protocol.Code)
	announced micro.Service

	ctx     context.Context // of the requests; ends with Stop
	cancel  context.CancelFunc
	running sync.WaitGroup // the goroutines of ServeAside

	mu        sync.Mutex // held while such a goroutine is started, and by Stop
	endpoints []*nats.Subscription
}

// NewServer announces the APIs and returns a server without endpoints. failed is called
// for each request that is answered with an error.
func NewServer(conn *nats.Conn, log *zap.Logger, failed func(Kind, protocol.Code)) (*Server, error) {
	announced, err := micro.AddService(conn, micro.Config{
		Name: "laneway", Version: version, Description: "Laneway: administration of topics and producers", QueueGroup: messages.FrontendQueue,
		Metadata: map[string]string{"subjects": protocol.TopicAPI + "> " + protocol.ProducerAPI + ">"},
	})
	if err != nil {
		return nil, fmt.Errorf("announce the API: %w", err)
	}
	s := &Server{conn: conn, log: log, failed: failed, announced: announced}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

// Endpoint hands the requests of a subject to serve, one after the other. A request with a
// malformed header block is answered with an error instead.
func (s *Server) Endpoint(subject string, kind Kind, serve func(*nats.Msg)) error {
	sub, err := s.conn.QueueSubscribe(subject, messages.FrontendQueue, func(m *nats.Msg) {
		if malformed := transport.ReadHeader(m); malformed != nil {
			s.Fail(m, kind, malformed)
			return
		}
		serve(m)
	})
	if err != nil {
		return fmt.Errorf("subscribe to %s: %w", subject, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endpoints = append(s.endpoints, sub)
	return nil
}

// ServeAside is Serve in a goroutine, so that a request does not delay the next one. It calls done at its end.
// After Stop, a request is answered with an error at once.
func (s *Server) ServeAside(m *nats.Msg, kind Kind, handle Handler, done func()) {
	s.mu.Lock()
	stopped := s.ctx.Err() != nil
	if !stopped {
		s.running.Go(func() {
			defer done()
			s.Serve(m, kind, handle)
		})
	}
	s.mu.Unlock()
	if stopped {
		defer done()
		s.Fail(m, kind, protocol.NewError(protocol.CodeUnavailable, "the frontend is stopping"))
	}
}

// Serve answers a request with what its handler returns within Timeout, or until Stop.
func (s *Server) Serve(m *nats.Msg, kind Kind, handle Handler) {
	if m.Reply != "" && protocol.ReplyTo(m.Reply) == "" {
		s.log.Warn("a request of the API is not served, because its answer would go to a subject of a service",
			zap.String("subject", m.Subject), zap.String("reply", m.Reply))
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, Timeout)
	defer cancel()
	response, err := withinSize(ctx, m.Data, handle)
	if err != nil {
		known := protocol.AsError(err)
		s.failed(kind, known.Code)
		response = protocol.ErrorResponse{Error: known}
	}
	data, err := json.Marshal(response)
	if err == nil && int64(len(data)) > s.conn.MaxPayload() {
		err = protocol.Errorf(protocol.CodeInvalidRequest, "the answer has %d bytes, NATS carries %d; ask for one topic at a time",
			len(data), s.conn.MaxPayload())
	}
	if err != nil {
		data = protocol.EncodeErrorResponse(err)
	}
	if err := m.Respond(data); err != nil {
		s.log.Warn("a request of the API could not be answered", zap.String("subject", m.Subject), zap.Error(err))
	}
}

// Fail answers a request with an error.
func (s *Server) Fail(m *nats.Msg, kind Kind, err error) {
	s.Serve(m, kind, func(context.Context, []byte) (any, error) { return nil, err })
}

// Stop unsubscribes, so that no more requests arrive. It cancels those that are being served, and waits for
// those that have a goroutine of their own. A further call does nothing.
func (s *Server) Stop() error {
	errs := []error{s.announced.Stop()}
	defer s.running.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cancel()
	for _, sub := range s.endpoints {
		if err := sub.Drain(); err != nil {
			errs = append(errs, transport.Unsubscribe(sub))
		}
	}
	s.endpoints = nil
	return errors.Join(errs...)
}

// withinSize handles a request unless it is larger than any request needs to be.
func withinSize(ctx context.Context, data []byte, handle Handler) (any, error) {
	if len(data) > protocol.MaxAPIRequest {
		return nil, protocol.Errorf(protocol.CodeInvalidRequest, "the request has %d bytes, allowed are %d", len(data), protocol.MaxAPIRequest)
	}
	return handle(ctx, data)
}

// Decode reads the JSON object of a request. An unknown field is an error: the client expects
// an effect that this version does not have.
func Decode(data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if _, more := d.Token(); err == nil && !errors.Is(more, io.EOF) {
		err = errors.New("the body has data after the JSON object")
	}
	if err != nil {
		return protocol.Errorf(protocol.CodeInvalidRequest, "the body is not the JSON of this request: %v", err)
	}
	return nil
}
