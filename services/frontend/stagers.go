package frontend

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"laneway.dev/pkg/messages"
	"laneway.dev/services/frontend/core"
	"laneway.dev/services/frontend/core/stagerwatch"
)

// stagers receives the announcements of stagers. run owns the watch.
type stagers struct {
	conn      *nats.Conn
	log       *zap.Logger
	announced chan *nats.Msg
	sub       *nats.Subscription
	watch     stagerwatch.Watch
	live      atomic.Pointer[core.Stagers] // those that are alive
}

// newStagers subscribes to the announcements.
func newStagers(conn *nats.Conn, log *zap.Logger) (*stagers, error) {
	const most = 1024 // far more than arrive in a round
	s := &stagers{conn: conn, log: log, announced: make(chan *nats.Msg, most)}
	s.live.Store(&core.Stagers{})
	var err error
	s.sub, err = conn.ChanSubscribe(messages.AliveWildcard, s.announced)
	return s, err
}

// run listens until ctx ends.
func (s *stagers) run(ctx context.Context) {
	tick := time.NewTicker(messages.ReportInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-s.announced:
			s.alive(m)
		case <-tick.C:
			s.roundEnds()
		}
	}
}

func (s *stagers) alive(m *nats.Msg) {
	s.step(stagerwatch.Alive{Name: messages.ParseAliveSubject(m.Subject)})
}

// roundEnds ends a round, unless the connection is down: then it proves nothing.
func (s *stagers) roundEnds() {
	for len(s.announced) > 0 {
		s.alive(<-s.announced)
	}
	if s.conn.IsConnected() {
		s.step(stagerwatch.RoundEnds{})
	}
}

func (s *stagers) step(event any) {
	if s.watch.Step(event) {
		live := s.watch.Live()
		s.live.Store(&core.Stagers{Live: live})
		s.log.Info("other stagers are alive than before; batches of the others are staged again by these", zap.Strings("stagers", live))
	}
}
