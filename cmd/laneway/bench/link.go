package bench

import (
	"context"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// link is the connection of a place to its servers, by an unmodified client for which
// Laneway is JetStream, and the subjects of its targets.
type link struct {
	url      string
	subjects []string // by target
	conn     *nats.Conn
	js       jetstream.JetStream
}

func (l *link) targets() int { return len(l.subjects) }

func (l *link) connect() (err error) {
	if l.conn != nil {
		l.conn.Close()
	}
	if l.conn, err = connect(l.url); err != nil {
		return err
	}
	l.js, err = jetstream.New(l.conn)
	return err
}

func (l *link) publish(ctx context.Context, target int, m *nats.Msg, options ...jetstream.PublishOpt) error {
	m.Subject = l.subjects[target]
	_, err := l.js.PublishMsg(ctx, m, options...)
	return err
}
