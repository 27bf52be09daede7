package client

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/protocol"
	"laneway.dev/pkg/reading"
)

// pendingSlack is how many bytes a subscription may hold beyond twice its window:
// headers, and the batch that exceeds the window.
const pendingSlack = 64 << 20

// session is one fetch request and its answers. It belongs to the goroutine that
// reads the partition.
//
// The protocol: the request names an inbox, the place to start and a window in
// bytes. The frontend sends batches to the inbox while it has credit, which is the
// window minus the bytes that were sent and not granted again. One batch may exceed
// it. The session grants credit by sending the total of the bytes that were
// delivered, so the next credit includes one that was lost. Each message has a reply
// subject for credits. Messages without an offset are statuses: a heartbeat, a gap,
// or the end, which may be an error. A session that ends early sends
// protocol.CancelFetch.
type session struct {
	client   *Client
	progress *progress
	sub      *nats.Subscription
	arrived  chan *nats.Msg
	left     chan struct{} // closed when the session receives no more
	silence  *time.Timer
	creditTo string // reply subject of the latest message
	ended    bool   // the frontend has ended the fetch
}

// fetch sends a request and yields the batches and gaps of the answer. It returns
// nil at the end of what was asked for, and when the loop of the caller has ended.
// It returns a *broken error, or errSkipped, if another request can continue.
func (c *Client) fetch(ctx context.Context, p *progress, yield func(fetched, error) bool) error {
	s := &session{
		client: c, progress: p, arrived: make(chan *nats.Msg, 256), left: make(chan struct{}),
		silence: time.NewTimer(p.options.Silence),
	}
	defer s.silence.Stop()
	if err := s.open(); err != nil {
		return s.unsent(err)
	}
	defer func() {
		close(s.left)
		if !s.ended && s.creditTo != "" {
			// If this message is lost, the frontend ends the fetch after some heartbeats.
			_ = c.conn.Publish(s.creditTo, []byte(protocol.CancelFetch))
		}
		// An error means that the connection is closed, and the subscription with it.
		_ = s.sub.Unsubscribe()
	}()
	for {
		m, err := s.receive(ctx)
		if err != nil {
			return err
		}
		s.creditTo = m.Reply
		if start, err := natural(m, protocol.HeaderStartOffset); err == nil {
			p.reader.Starts(start)
		}
		if m.Header.Get(protocol.HeaderOffset) == "" {
			if more, err := s.status(m, yield); !more || err != nil {
				return err
			}
			continue
		}
		b, err := s.batch(m)
		if err != nil {
			return err
		}
		if p.left = !yield(b, nil); p.left {
			return nil
		}
		credit := p.took(&b)
		if p.reader.Complete() {
			return nil
		}
		if credit {
			s.credit()
		}
	}
}

// open subscribes to the answers and sends the request.
func (s *session) open() error {
	if s.client.isClosed() {
		return ErrClosed
	}
	o := s.progress.options
	request, err := json.Marshal(s.progress.request())
	if err != nil {
		return err
	}
	inbox := s.client.conn.NewInbox()
	s.sub, err = s.client.conn.Subscribe(inbox, func(m *nats.Msg) {
		select {
		case s.arrived <- m:
		case <-s.left:
		}
	})
	if err != nil {
		return err
	}
	// Credit bounds the bytes. A limit on messages would only make nats.go drop some.
	err = s.sub.SetPendingLimits(-1, int(o.WindowBytes)*2+pendingSlack)
	if err == nil {
		err = s.client.conn.PublishRequest(s.subject(), inbox, request)
	}
	if err != nil {
		close(s.left)
		_ = s.sub.Unsubscribe()
	}
	return err
}

func (s *session) subject() string {
	return protocol.Partition{Topic: s.progress.options.Topic, Number: s.progress.partition}.FetchSubject()
}

// unsent returns the error of a request that could not be sent.
func (s *session) unsent(err error) error {
	err = fmt.Errorf("fetch %s: %w", s.subject(), s.client.explain(err))
	if unsent(err) {
		return &broken{err}
	}
	return err
}

// receive returns the next message. Silence is measured from the moment at which the
// session waits, so a slow loop of the caller does not count.
func (s *session) receive(ctx context.Context) (*nats.Msg, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case m := <-s.arrived:
		return m, nil
	default:
	}
	s.silence.Reset(s.progress.options.Silence)
	select {
	case m := <-s.arrived:
		return m, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-s.client.closed:
		return nil, ErrClosed
	case <-s.silence.C:
		return nil, &broken{fmt.Errorf("fetch %s: %w", s.subject(), protocol.Errorf(protocol.CodeUnavailable,
			"no message arrived for %s", s.progress.options.Silence))}
	}
}

// batch decodes a batch and checks that it follows what was received before.
func (s *session) batch(m *nats.Msg) (fetched, error) {
	p := s.progress
	b, err := readBatch(m)
	if err != nil {
		return b, fmt.Errorf("fetch %s: %w", s.subject(), err)
	}
	b.topic, b.partition = p.options.Topic, p.partition
	if b.from, err = p.reader.Accept(b.offset, b.count); err != nil {
		return b, s.lost(err)
	}
	p.served = true
	return b, nil
}

// lost returns the error of a message that does not follow the one before. NATS loses
// messages when a connection breaks: that of the client, that of the frontend, or one
// between two servers. Another request continues at the missing offset.
func (s *session) lost(what error) error {
	return &broken{fmt.Errorf("fetch %s: %w", s.subject(), protocol.NewError(protocol.CodeUnavailable, what.Error()))}
}

// credit grants the bytes that were delivered. If NATS does not accept or loses the
// message, the next one grants them, at the latest in answer to a heartbeat.
func (s *session) credit() {
	if s.creditTo == "" {
		return
	}
	r := &s.progress.reader
	if s.client.conn.Publish(s.creditTo, strconv.AppendInt(nil, r.Credit(), 10)) == nil {
		r.Credited()
	}
}

// status does what the reader decides about a status message. It reports whether the
// fetch continues.
func (s *session) status(m *nats.Msg, yield func(fetched, error) bool) (more bool, err error) {
	if unserved(m) {
		return false, &broken{noResponders(s.subject())}
	}
	p := s.progress
	p.served = true
	said := readStatus(m)
	action, why := p.reader.Status(said, p.options.SkipCorrupt)
	switch action {
	case reading.Credit:
		s.credit()
		return true, nil
	case reading.PassGap:
		return s.gap(said, nil, yield), nil
	case reading.Leave:
		return false, s.lost(why)
	}
	s.ended = true
	switch action {
	case reading.PassDeleted:
		if p.options.OnGap == nil {
			return false, fmt.Errorf("fetch %s: %w", s.subject(), why)
		}
		fallthrough
	case reading.PassDamage:
		if s.gap(said, said.Err, yield) {
			err = errSkipped
		}
	case reading.FetchAgain:
		err = &broken{fmt.Errorf("fetch %s: %w", s.subject(), why)}
	case reading.Fail:
		err = fmt.Errorf("fetch %s: %w", s.subject(), why)
	}
	return false, err
}

// gap yields a gap, with its error if there were records. It reports whether the loop of the caller
// continues.
func (s *session) gap(said reading.Status, damage *protocol.Error, yield func(fetched, error) bool) bool {
	p := s.progress
	g := &Gap{Topic: p.options.Topic, Partition: p.partition, First: said.GapFrom, Last: said.GapTo, Err: damage}
	if p.left = !yield(fetched{gap: g}, nil); p.left {
		return false
	}
	p.passed(g)
	return true
}
