package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// Flood sends requests over a number of connections, as fast as each of them takes
// them and without waiting for any answer.
type Flood struct {
	Subject     string
	Connections int
	Bytes       int           // of the body of a request
	Duration    time.Duration // of the sending
}

// FloodCount is what became of the requests of a flood.
type FloodCount struct {
	Requests int // that a connection took
	Answers  int // to different requests
	Refused  int // answers with an error of Laneway, of those above
	Unheard  int // answers by NATS that there are no responders, of those above
	Faults   []string
}

// Unanswered returns how many requests have no answer.
func (c FloodCount) Unanswered() int { return c.Requests - c.Answers }

func (c FloodCount) String() string {
	return fmt.Sprintf("%d requests, %d answers (%d errors, %d no responders), %d requests (%.2f %%) without an answer",
		c.Requests, c.Answers, c.Refused, c.Unheard, c.Unanswered(), 100*float64(c.Unanswered())/float64(max(1, c.Requests)))
}

// Run sends until the flood's time is over, then waits until every request is
// answered or accounted for: lost returns how many requests the service is known to
// have lost. ctx ends the waiting.
func (f Flood) Run(ctx context.Context, connect func() (*nats.Conn, error), lost func() (int, error)) (FloodCount, error) {
	sources := make([]*floodSource, 0, f.Connections)
	defer func() {
		for _, s := range sources {
			s.conn.Close()
		}
	}()
	for range f.Connections {
		s, err := newFloodSource(connect)
		if err != nil {
			return FloodCount{}, err
		}
		sources = append(sources, s)
	}
	sending, cancel := context.WithTimeout(ctx, f.Duration)
	defer cancel()
	var running sync.WaitGroup
	errs := make([]error, len(sources))
	for i, s := range sources {
		running.Go(func() { errs[i] = s.send(sending, f.Subject, bytes.Repeat([]byte("x"), f.Bytes)) })
	}
	running.Wait()
	if err := errors.Join(errs...); err != nil {
		return countFlood(sources), err
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		known, err := lost()
		count := countFlood(sources)
		if err != nil || count.Unanswered() <= known {
			return count, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return count, fmt.Errorf("%v, and %d are accounted for: %w", count, known, context.Cause(ctx))
		}
	}
}

func countFlood(sources []*floodSource) FloodCount {
	var sum FloodCount
	for _, s := range sources {
		s.mu.Lock()
		sum.Requests += s.count.Requests
		sum.Answers += s.count.Answers
		sum.Refused += s.count.Refused
		sum.Unheard += s.count.Unheard
		sum.Faults = append(sum.Faults, s.count.Faults...)
		s.mu.Unlock()
	}
	return sum
}

// floodSource is one connection of a flood.
type floodSource struct {
	conn  *nats.Conn
	inbox string

	mu       sync.Mutex
	answered []uint64 // a bit for each request
	count    FloodCount
}

func newFloodSource(connect func() (*nats.Conn, error)) (*floodSource, error) {
	conn, err := connect()
	if err != nil {
		return nil, err
	}
	s := &floodSource{conn: conn, inbox: conn.NewInbox() + "."}
	sub, err := conn.Subscribe(s.inbox+"*", s.answer)
	if err == nil {
		err = errors.Join(sub.SetPendingLimits(-1, -1), conn.Flush())
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	conn.SetDisconnectErrHandler(func(_ *nats.Conn, err error) {
		if !conn.IsClosed() {
			s.fault("a connection that sends was lost: %v", err)
		}
	})
	return s, nil
}

func (s *floodSource) send(ctx context.Context, subject string, body []byte) error {
	n := 0
	defer func() {
		s.mu.Lock()
		s.count.Requests = n
		s.mu.Unlock()
	}()
	reply := []byte(s.inbox)
	for ctx.Err() == nil {
		reply = strconv.AppendInt(reply[:len(s.inbox)], int64(n), 10)
		if err := s.conn.PublishRequest(subject, string(reply), body); err != nil {
			return err
		}
		n++
	}
	return s.conn.FlushTimeout(time.Minute)
}

// answer is the callback of the inbox.
func (s *floodSource) answer(m *nats.Msg) {
	n, err := strconv.Atoi(strings.TrimPrefix(m.Subject, s.inbox))
	if err != nil {
		s.fault("an answer to %s, which was never asked", m.Subject)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.answered) <= n/64 {
		s.answered = append(s.answered, 0)
	}
	if s.answered[n/64]&(1<<(n%64)) != 0 {
		s.count.Faults = append(s.count.Faults, fmt.Sprintf("request %d was answered twice: %.200s", n, m.Data))
		return
	}
	s.answered[n/64] |= 1 << (n % 64)
	s.count.Answers++
	switch {
	case bytes.HasPrefix(m.Data, []byte(`{"error"`)):
		s.count.Refused++
	case len(m.Data) == 0 && m.Header.Get("Status") == "503":
		s.count.Unheard++
	}
}

func (s *floodSource) fault(format string, arguments ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count.Faults = append(s.count.Faults, fmt.Sprintf(format, arguments...))
}
