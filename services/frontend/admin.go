package frontend

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"laneway.dev/internal/partitionlog"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// apiTimeout bounds one request of the topic API.
const apiTimeout = 10 * time.Second

// serveTopicAPI offers the API of topics.
func (s *Service) serveTopicAPI() error {
	for name, handle := range map[string]handler{
		"create": s.createTopic, "list": s.listTopics, "info": s.topicInfo, "delete": s.deleteTopic,
	} {
		err := s.endpoint(protocol.TopicAPI+name, kindTopic, func(m *nats.Msg) { s.serve(context.Background(), m, kindTopic, handle) })
		if err != nil {
			return err
		}
	}
	return nil
}

// handler answers the body of a request.
type handler func(context.Context, []byte) (any, error)

func (s *Service) serve(ctx context.Context, m *nats.Msg, kind string, handle handler) {
	if m.Reply != "" && protocol.ReplyTo(m.Reply) == "" {
		s.config.Logger.Warn("a request of the API is not served, because its answer would go to a subject of a service",
			zap.String("subject", m.Subject), zap.String("reply", m.Reply))
		return
	}
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	var response any
	result, err := withinSize(ctx, m.Data, handle)
	if response = result; err != nil {
		known := protocol.AsError(err)
		s.errors.add(kind, known.Code)
		response = protocol.ErrorResponse{Error: known}
	}
	data, err := json.Marshal(response)
	if err == nil && int64(len(data)) > s.config.Conn.MaxPayload() {
		err = protocol.Errorf(protocol.CodeInvalidRequest, "the answer has %d bytes, NATS carries %d; ask for one topic at a time",
			len(data), s.config.Conn.MaxPayload())
	}
	if err != nil {
		data = protocol.EncodeErrorResponse(err)
	}
	if err := m.Respond(data); err != nil {
		s.config.Logger.Warn("a request of the API could not be answered", zap.String("subject", m.Subject), zap.Error(err))
	}
}

// withinSize handles a request, unless it is larger than any needs to be.
func withinSize(ctx context.Context, data []byte, handle handler) (any, error) {
	if len(data) > protocol.MaxAPIRequest {
		return nil, protocol.Errorf(protocol.CodeInvalidRequest, "the request has %d bytes, allowed are %d", len(data), protocol.MaxAPIRequest)
	}
	return handle(ctx, data)
}

// createTopic makes a topic and answers when it can be produced to.
func (s *Service) createTopic(ctx context.Context, data []byte) (any, error) {
	var config protocol.TopicConfig
	if err := decode(data, &config); err != nil {
		return nil, err
	}
	config, err := config.FitPayload(s.config.Conn.MaxPayload())
	if err != nil {
		return nil, err
	}
	topic, err := s.registry.Create(ctx, config)
	if err != nil {
		return nil, err
	}
	for n := range topic.Partitions {
		p, err := s.set.Await(ctx, topic.Partition(n))
		if err == nil {
			select {
			case <-p.ready:
			case <-ctx.Done():
				err = ctx.Err()
			}
		}
		if err != nil {
			return nil, protocol.Errorf(protocol.CodeUnavailable,
				"topic %s is made, but partition %d is not served yet; is a sequencer running? %v", topic.Name, n, err)
		}
	}
	return protocol.TopicResponse{Topic: &topic}, nil
}

func (s *Service) listTopics(ctx context.Context, _ []byte) (any, error) {
	all, err := s.registry.List(ctx)
	if err != nil {
		return nil, err
	}
	response := protocol.TopicListResponse{Topics: all}
	if wrong := s.findings.Load().survey.Err(); wrong != nil {
		response.Warnings = strings.Split(wrong.Error(), "\n")
	}
	return response, nil
}

func (s *Service) topicInfo(ctx context.Context, data []byte) (any, error) {
	var request protocol.TopicRequest
	if err := decode(data, &request); err != nil {
		return nil, err
	}
	topic, err := s.registry.Get(ctx, request.Name)
	if lost := s.findings.Load().survey.ErrOf(request.Name); err != nil && lost != nil {
		err = lost
	}
	if err != nil {
		return nil, err
	}
	response := protocol.TopicResponse{Topic: &topic, Warnings: s.warnings(topic)}
	damage := s.damage()
	for n := range topic.Partitions {
		id := topic.Partition(n)
		info := protocol.PartitionInfo{Partition: id.Number, Stream: messages.LogStream(id), Damage: damage[id]}
		state, err := s.logState(ctx, id)
		if err != nil && s.registry.Gone(ctx, id) {
			return nil, protocol.NewError(protocol.CodeUnknownTopic, request.Name)
		}
		if err != nil && info.Damage == "" {
			return nil, protocol.NewError(protocol.CodeUnavailable, err.Error())
		}
		info.EndOffset, info.Entries = state.NextOffset, state.Entries
		response.Partitions = append(response.Partitions, info)
	}
	return response, nil
}

// logState looks up where a log ends. The end of one that is damaged may not be readable.
func (s *Service) logState(ctx context.Context, id protocol.Partition) (partitionlog.State, error) {
	const patience = 2 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return partitionlog.New(s.config.Conn, s.js, id).State(ctx)
}

// damage returns what the logs of the partitions have lost that are read-only.
func (s *Service) damage() map[protocol.Partition]string {
	all := make(map[protocol.Partition]string)
	for _, p := range s.set.Actors() {
		if t := p.stats.Load(); t != nil && t.Damage != "" {
			all[p.id] = t.Damage
		}
	}
	return all
}

func (s *Service) deleteTopic(ctx context.Context, data []byte) (any, error) {
	var request protocol.TopicRequest
	if err := decode(data, &request); err != nil {
		return nil, err
	}
	if err := s.registry.Delete(ctx, request.Name); err != nil {
		return nil, err
	}
	return protocol.TopicResponse{}, nil
}

func decode(data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields() // they ask for something that would not be done
	err := d.Decode(into)
	if _, more := d.Token(); err == nil && !errors.Is(more, io.EOF) {
		err = errors.New("something follows the JSON object")
	}
	if err != nil {
		return protocol.Errorf(protocol.CodeInvalidRequest, "the body is not the JSON of this request: %v", err)
	}
	return nil
}
