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
	ended := false
	defer func() {
		close(s.left)
		if !ended && s.creditTo != "" {
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
		if start, err := natural(m, protocol.HeaderStartOffset); err == nil {
			p.reader.Starts(start)
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
				s.creditTo = m.Reply
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
		credit := p.took(&b)
		if p.complete() {
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

// status handles a status message. It reports whether it ends the fetch with success.
func (s *session) status(m *nats.Msg) (over bool, err error) {
	if unserved(m) {
		return false, &broken{noResponders(s.subject())}
	}
	s.progress.served = true
	switch status := m.Header.Get(protocol.HeaderStatus); status {
	case protocol.StatusHeartbeat:
		return false, s.heartbeat(m)
	case protocol.StatusEnd, protocol.StatusNoRecords: // no error has these statuses
		return s.end(m)
	}
	return false, s.failure(m)
}

// heartbeat answers a heartbeat with a credit, which also shows the frontend that the
// consumer is running.
func (s *session) heartbeat(m *nats.Msg) error {
	s.creditTo = m.Reply
	s.credit()
	return s.place(m)
}

// end handles the end of a fetch. With Follow a fetch has no end unless it is complete,
// so the frontend has ended it early.
func (s *session) end(m *nats.Msg) (bool, error) {
	if err := s.place(m); err != nil {
		return false, err
	}
	if s.progress.options.Follow && !s.progress.complete() {
		return false, &broken{fmt.Errorf("fetch %s: %w", s.subject(),
			protocol.Errorf(protocol.CodeUnavailable, "the frontend ended a fetch that follows"))}
	}
	return true, nil
}

// place compares the position of the frontend, if the message has one, with what has
// arrived, which shows whether messages were lost.
func (s *session) place(m *nats.Msg) error {
	next, err := natural(m, protocol.HeaderNextOffset)
	if err != nil {
		return nil // this message has no position
	}
	if err := s.progress.reader.Place(next); err != nil {
		return s.lost(err)
	}
	return nil
}

// failure returns the error of a status message.
func (s *session) failure(m *nats.Msg) error {
	known := readError(m)
	err := fmt.Errorf("fetch %s: %w", s.subject(), known)
	if known.Retryable() {
		return &broken{err}
	}
	return err
}

// gapIn returns the gap in a status message. It returns nil if the message is not
// about a gap, or is about damage that the consumer does not pass over.
func (s *session) gapIn(m *nats.Msg) (*Gap, error) {
	p := s.progress
	g := &Gap{Topic: p.options.Topic, Partition: p.partition}
	if m.Header.Get(protocol.HeaderStatus) != protocol.StatusGap {
		if m.Header.Get(protocol.HeaderError) == "" || m.Header.Get(protocol.HeaderGapTo) == "" || !p.options.SkipCorrupt {
			return nil, nil
		}
		if g.Err = readError(m); g.Err.Code != protocol.CodeCorrupt {
			return nil, nil
		}
	}
	var err error
	if g.First, err = natural(m, protocol.HeaderGapFrom); err == nil {
		g.Last, err = natural(m, protocol.HeaderGapTo)
	}
	if err != nil {
		return nil, fmt.Errorf("fetch %s: %w", s.subject(), err)
	}
	if err := p.reader.Gap(g.First, g.Last); err != nil {
		return nil, s.lost(err)
	}
	return g, nil
}
