package fetch

import (
	"errors"
	"maps"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/protocol"
	core "laneway.dev/services/frontend/core/fetch"
)

// answers are the messages that a consumer gets. They belong to one goroutine.
type answers struct {
	conn      *nats.Conn
	partition *partition
	reply     string
	credit    string // where the consumer grants credit; empty is nowhere

	time    time.Time
	written string      // time as it is sent
	own     nats.Header // headers of a message without those of its record
}

func newAnswers(c Config, p *partition, reply string) *answers {
	return &answers{
		conn: c.Conn, partition: p, reply: reply,
		own: nats.Header{
			protocol.HeaderTopic:     {p.id.Topic},
			protocol.HeaderPartition: {strconv.Itoa(int(p.id.Number))},
			protocol.HeaderOffset:    {""},
			protocol.HeaderTime:      {""},
		},
	}
}

// send sends a message. The error is retryable if the connection is to blame, and not
// if the message is.
func (a *answers) send(m *core.Message) *protocol.Error {
	switch {
	case m.Status != nil:
		s := a.status(m.Status)
		s.Reply = a.credit
		return a.publish(s, m.Status.Next)
	case m.Records > 0:
		a.stamp(m)
		a.own[protocol.HeaderContentType] = []string{protocol.ContentTypeBatch}
		a.own[protocol.HeaderRecords] = []string{strconv.FormatUint(uint64(m.Records), 10)}
		return a.publish(&nats.Msg{Subject: a.reply, Reply: a.credit, Header: a.own, Data: m.Data}, m.Offset)
	}
	a.stamp(m)
	header := a.own
	if len(m.Headers) > 0 {
		header = make(nats.Header, len(m.Headers)+len(a.own))
		for _, h := range m.Headers {
			header[h.Name] = append(header[h.Name], h.Value)
		}
		maps.Copy(header, a.own)
	}
	return a.publish(&nats.Msg{Subject: a.reply, Reply: a.credit, Header: header, Data: m.Data}, m.Offset)
}

func (a *answers) stamp(m *core.Message) {
	if a.written == "" || !a.time.Equal(m.Time) {
		a.time, a.written = m.Time, m.Time.UTC().Format(time.RFC3339Nano)
	}
	a.own[protocol.HeaderOffset][0] = strconv.FormatInt(m.Offset, 10)
	a.own[protocol.HeaderTime][0] = a.written
}

// status returns a status as it is sent. The body of an error is that of every request
// that fails: NATS clients take a 503 without a body for one of the server, by which it
// says that there is no responder.
func (a *answers) status(s *core.Status) *nats.Msg {
	m := nats.NewMsg(a.reply)
	m.Header.Set(protocol.HeaderStatus, s.Code)
	m.Header.Set(protocol.HeaderDesc, s.Description)
	for header, offset := range map[string]int64{
		protocol.HeaderNextOffset: s.Next, protocol.HeaderEndOffset: s.End, protocol.HeaderGapFrom: s.GapFrom, protocol.HeaderGapTo: s.GapTo,
	} {
		if offset != core.Unknown {
			m.Header.Set(header, strconv.FormatInt(offset, 10))
		}
	}
	if s.Err != nil {
		m.Header.Set(protocol.HeaderError, s.Err.Code.Kind().Name)
		m.Data = protocol.EncodeErrorResponse(s.Err)
	}
	return m
}

// publish sends a message about an offset.
func (a *answers) publish(m *nats.Msg, offset int64) *protocol.Error {
	err := a.conn.PublishMsg(m)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, nats.ErrMaxPayload):
		return protocol.Errorf(protocol.CodeMaxPayload, "offset %d: a message with %d bytes besides its headers, max_payload is %d",
			offset, len(m.Data), a.conn.MaxPayload())
	case errors.Is(err, nats.ErrBadHeaderMsg):
		return protocol.Errorf(protocol.CodeUndeliverable, "offset %d: %v", offset, err)
	case errors.Is(err, nats.ErrBadSubject), errors.Is(err, nats.ErrInvalidMsg):
		return protocol.Errorf(protocol.CodeInternal, "an answer cannot be sent to %q: %v", m.Subject, err)
	}
	return protocol.Errorf(protocol.CodeUnavailable, "answer a fetch: send: %v", err)
}
