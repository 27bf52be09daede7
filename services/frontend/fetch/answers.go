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

// answers sends the messages of one fetch. It belongs to the goroutine of the fetch.
type answers struct {
	conn      *nats.Conn
	partition *partition
	reply     string
	credit    string // subject for the consumer's control messages; empty if the fetch is not paced

	time    time.Time   // of the last message
	written string      // time, formatted; all records of a batch share it
	own     nats.Header // Laneway's headers of a message; reused for each
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

// send sends a message. The error is retryable if it comes from the connection, and final
// if it comes from the message.
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
	if m.Start != core.Unknown && a.own[protocol.HeaderStartOffset] == nil {
		a.own[protocol.HeaderStartOffset] = []string{strconv.FormatInt(m.Start, 10)}
	}
	a.own[protocol.HeaderOffset][0] = strconv.FormatInt(m.Offset, 10)
	a.own[protocol.HeaderTime][0] = a.written
}

// status returns the NATS message for a status. An error has the same JSON body as in the
// answer to any failed request. The body is required: NATS clients treat a 503 without a body
// as the server's "no responders".
func (a *answers) status(s *core.Status) *nats.Msg {
	m := nats.NewMsg(a.reply)
	m.Header.Set(protocol.HeaderStatus, s.Code)
	m.Header.Set(protocol.HeaderDesc, s.Description)
	for header, offset := range map[string]int64{
		protocol.HeaderStartOffset: s.Start, protocol.HeaderNextOffset: s.Next, protocol.HeaderEndOffset: s.End,
		protocol.HeaderLogStart: s.LogStart, protocol.HeaderGapFrom: s.GapFrom, protocol.HeaderGapTo: s.GapTo,
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

// publish sends a message. offset is for the error text.
func (a *answers) publish(m *nats.Msg, offset int64) *protocol.Error {
	err := a.conn.PublishMsg(m)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, nats.ErrMaxPayload):
		return protocol.Errorf(protocol.CodeMaxPayload, "offset %d: the message has %d bytes without its headers, and max_payload is %d",
			offset, len(m.Data), a.conn.MaxPayload())
	case errors.Is(err, nats.ErrBadHeaderMsg):
		return protocol.Errorf(protocol.CodeUndeliverable, "offset %d: %v", offset, err)
	case errors.Is(err, nats.ErrBadSubject), errors.Is(err, nats.ErrInvalidMsg):
		return protocol.Errorf(protocol.CodeInternal, "an answer cannot be sent to %q: %v", m.Subject, err)
	}
	return protocol.Errorf(protocol.CodeUnavailable, "answer a fetch: send: %v", err)
}
