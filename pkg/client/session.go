package client

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/protocol"
)

const (
	// pendingSlack is what a subscription may hold beyond its window: headers, and
	// the batch that exceeds it.
	pendingSlack = 64 << 20
	// creditMessages is after how many messages credit is granted at the latest:
	// frames may be tiny.
	creditMessages = 4096
)

// session is one fetch request and its answers. It belongs to the goroutine
// that iterates.
type session struct {
	client     *Client
	progress   *progress
	sub        *nats.Subscription
	arrived    chan *nats.Msg
	left       chan struct{} // closed when nobody receives any more
	silence    *time.Timer
	reconnects uint64 // of the connection, when the request was sent
	fresh      bool   // no batch came yet

	creditTo string
	taken    int64 // bytes that are not credited yet
	messages int   // since the last credit
}

// fetch sends a request and yields what comes until its status. The error is a
// *broken one if another request may go on; nil is the end.
func (c *Client) fetch(ctx context.Context, p *progress, yield func(fetched, error) bool) error {
	s := &session{
		client: c, progress: p, fresh: true, arrived: make(chan *nats.Msg, 256), left: make(chan struct{}),
		silence: time.NewTimer(p.options.Silence), reconnects: c.conn.Stats().Reconnects,
	}
	defer s.silence.Stop()
	if err := s.open(); err != nil {
		return s.unsent(err)
	}
	ended := false
	defer func() {
		close(s.left)
		if !ended && s.creditTo != "" {
			// If it is lost, the frontend ends the fetch when nothing is heard.
			_ = c.conn.Publish(s.creditTo, []byte(protocol.CancelFetch))
		}
		// On a closed connection there is nothing to leave.
		_ = s.sub.Unsubscribe()
	}()
	for {
		m, err := s.receive(ctx)
		if err != nil {
			return err
		}
		if m.Header.Get(protocol.HeaderOffset) == "" {
			g, err := s.gapIn(m)
			if err != nil {
				return err
			}
			if g != nil {
				ended = g.Err != nil
				if p.left = !yield(fetched{gap: g}, nil); p.left {
					return nil
				}
				if p.passed(g); ended {
					return errSkipped
				}
				s.creditTo, s.fresh = m.Reply, false
				continue
			}
			if over, err := s.status(m); over || err != nil {
				ended = true
				return err
			}
			continue
		}
		s.creditTo = m.Reply
		b, err := s.batch(m)
		if err != nil {
			return err
		}
		if p.left = !yield(b, nil); p.left {
			return nil
		}
		p.got(&b)
		if p.complete() {
			return nil
		}
		s.took(m)
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
	// Credit bounds the bytes; a limit on messages would drop some.
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

// unsent is the error for a request that could not be sent.
func (s *session) unsent(err error) error {
	err = fmt.Errorf("fetch %s: %w", s.subject(), s.client.explain(err))
	if unsent(err) {
		return &broken{err}
	}
	return err
}

// receive returns the next message.
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
			"nothing was heard for %s", s.progress.options.Silence))}
	}
}

// batch reads a batch and checks that it follows the one before.
func (s *session) batch(m *nats.Msg) (fetched, error) {
	p := s.progress
	b, err := readBatch(m)
	if err != nil {
		return b, fmt.Errorf("fetch %s: %w", s.subject(), err)
	}
	b.topic, b.partition, b.from = p.options.Topic, p.partition, b.offset
	if p.placed {
		// Only the first batch may begin before what is wanted.
		if b.offset > p.next || b.next() <= p.next || !s.fresh && b.offset != p.next {
			return b, s.gap(fmt.Sprintf("offset %d was expected, a batch of %d records at offset %d came", p.next, b.count, b.offset))
		}
		b.from = p.next
	}
	s.fresh, p.served = false, true
	return b, nil
}

// gap is the error for an answer that does not follow the one before: expected
// where messages can have been lost.
func (s *session) gap(what string) error {
	err := fmt.Errorf("fetch %s: %w", s.subject(), protocol.NewError(protocol.CodeInternal, what))
	dropped, droppedErr := s.sub.Dropped()
	if s.client.conn.Stats().Reconnects != s.reconnects || droppedErr != nil || dropped > 0 {
		return &broken{err}
	}
	return err
}

// took credits what the consumer has taken, in portions.
func (s *session) took(m *nats.Msg) {
	s.taken += int64(len(m.Data))
	s.messages++
	if s.taken >= s.progress.options.WindowBytes/4 || s.messages >= creditMessages {
		s.credit()
	}
}

// credit grants what is taken. A credit that is lost is made good by the
// frontend's heartbeat, or by its end and another request.
func (s *session) credit() {
	if s.creditTo == "" {
		return
	}
	if s.client.conn.Publish(s.creditTo, strconv.AppendInt(nil, s.taken, 10)) == nil {
		s.taken, s.messages = 0, 0
	}
}
