package fetch

import (
	"errors"
	"fmt"
	"maps"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"laneway.dev/pkg/protocol"
)

// answers are the messages that a consumer gets. They belong to one goroutine.
type answers struct {
	conn      *nats.Conn
	log       *zap.Logger
	failed    func(protocol.Code)
	abandoned *atomic.Uint64 // counts consumers that went silent
	partition *partition
	reply     string
	credit    string    // where the consumer grants credit; empty is nowhere
	asked     time.Time // when the request came

	next    int64    // the offset to go on from
	placed  bool     // whether next is known
	damage  *damaged // that the last status names; nil is none
	time    time.Time
	written string      // time as it is sent
	own     nats.Header // headers of a message without those of its record
}

func newAnswers(s *Server, p *partition, reply string) *answers {
	return &answers{
		conn: s.config.Conn, log: s.config.Logger, failed: s.config.Failed, abandoned: &s.abandoned, partition: p, reply: reply, asked: time.Now(),
		own: nats.Header{
			protocol.HeaderTopic:     {p.id.Topic},
			protocol.HeaderPartition: {strconv.Itoa(int(p.id.Number))},
			protocol.HeaderOffset:    {""},
			protocol.HeaderTime:      {""},
		},
	}
}

// at notes the offset that statuses name as the next one.
func (a *answers) at(offset *int64) {
	if offset != nil {
		a.next, a.placed = *offset, true
	}
}

// frame sends a whole batch.
func (a *answers) frame(l loaded) error {
	a.stamp(l, l.offset)
	a.own[protocol.HeaderContentType] = []string{protocol.ContentTypeBatch}
	a.own[protocol.HeaderRecords] = []string{strconv.FormatUint(uint64(l.records), 10)}
	return a.publish(&nats.Msg{Subject: a.reply, Reply: a.credit, Header: a.own, Data: l.payload})
}

// record sends one record of a batch. A record that cannot be sent exactly as it is
// stored is an error of code CodeUndeliverable: Laneway accepts none any more.
func (a *answers) record(l loaded, offset int64, r protocol.Record) error {
	a.stamp(l, offset)
	header := a.own
	if len(r.Headers) > 0 {
		header = make(nats.Header, len(r.Headers)+len(a.own))
		for _, h := range r.Headers {
			if err := h.Check(); err != nil && h.Name != protocol.HeaderSubject {
				return undeliverable(offset, err.Detail)
			}
			header[h.Name] = append(header[h.Name], h.Value)
		}
		maps.Copy(header, a.own)
	}
	err := a.publish(&nats.Msg{Subject: a.reply, Reply: a.credit, Header: header, Data: r.Value})
	if errors.Is(err, nats.ErrBadHeaderMsg) {
		return undeliverable(offset, err.Error())
	}
	return err
}

func undeliverable(offset int64, why string) *protocol.Error {
	return protocol.Errorf(protocol.CodeUndeliverable, "offset %d: %s", offset, why)
}

func (a *answers) stamp(l loaded, offset int64) {
	if a.written == "" || !a.time.Equal(l.time) {
		a.time, a.written = l.time, l.time.UTC().Format(time.RFC3339Nano)
	}
	a.own[protocol.HeaderOffset][0] = strconv.FormatInt(offset, 10)
	a.own[protocol.HeaderTime][0] = a.written
}

// heartbeat asks the consumer for a sign of life. A fetch that is not settled
// may yet pass over records, so it does not tell where it is.
func (a *answers) heartbeat(settled bool) error {
	m := a.status(protocol.StatusHeartbeat, "the fetch is idle; answer with a credit of 0")
	if !settled {
		m.Header.Del(protocol.HeaderNextOffset)
	}
	m.Reply = a.credit
	return a.publish(m)
}

// end sends the last status of a fetch that ends well.
func (a *answers) end(how ending) { a.last(a.status(how.status, how.description)) }

// fail sends the last status of a fetch that ends with an error. Its body is the
// error as other requests are answered with: NATS clients take a 503 without a
// body for one of the server, that nobody is there.
func (a *answers) fail(err *protocol.Error) {
	if err.Code == protocol.CodeCreditTimeout {
		a.abandoned.Add(1) // the consumer is gone, which is no failure of the service
	} else {
		a.failed(err.Code)
	}
	m := a.status(err.Code.FetchStatus(), err.Error())
	m.Header.Set(protocol.HeaderError, err.Code.Kind().Name)
	if a.damage != nil {
		name(m, a.damage.from, a.damage.next)
	}
	m.Data = protocol.EncodeErrorResponse(err)
	a.last(m)
}

func (a *answers) last(m *nats.Msg) {
	if err := a.publish(m); err != nil {
		a.log.Debug("a fetch could not be told that it ended", zap.Stringer("partition", a.partition.id), zap.Error(err))
	}
}

func (a *answers) status(status, description string) *nats.Msg {
	m := nats.NewMsg(a.reply)
	m.Header.Set(protocol.HeaderStatus, status)
	m.Header.Set(protocol.HeaderDesc, description)
	if a.placed {
		m.Header.Set(protocol.HeaderNextOffset, strconv.FormatInt(a.next, 10))
	}
	if end, known := a.partition.endOffset(); known {
		m.Header.Set(protocol.HeaderEndOffset, strconv.FormatInt(max(end, a.reached()), 10))
	}
	return m
}

// reached is the end as far as the fetch has seen it: entries may be read
// before the news of them.
func (a *answers) reached() int64 {
	if a.own[protocol.HeaderOffset][0] == "" {
		return 0
	}
	return a.next
}

// publish sends a message. The error is retryable if the connection is to blame, and
// not if the message is.
func (a *answers) publish(m *nats.Msg) error {
	err := a.conn.PublishMsg(m)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, nats.ErrMaxPayload):
		return protocol.Errorf(protocol.CodeMaxPayload, "offset %d: a message with %d bytes besides its headers, max_payload is %d",
			a.next, len(m.Data), a.conn.MaxPayload())
	case errors.Is(err, nats.ErrBadHeaderMsg):
		return err
	case errors.Is(err, nats.ErrBadSubject), errors.Is(err, nats.ErrInvalidMsg):
		return protocol.Errorf(protocol.CodeInternal, "an answer cannot be sent to %q: %v", m.Subject, err)
	}
	return fmt.Errorf("answer a fetch: %w", protocol.Errorf(protocol.CodeUnavailable, "send: %v", err))
}
