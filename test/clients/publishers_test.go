package clients

import (
	"context"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// publisher is a way in which nats.go publishes; options are those that both
// APIs have.
type publisher struct {
	name    string
	publish func(ctx context.Context, conn *nats.Conn, m *nats.Msg, o options) (ack, error)
}

// options of a publish. The zero value is none.
type options struct {
	id     string
	stream string
	// lastSequence and lastID are expectations of the stream.
	lastSequence *uint64
	lastID       string
}

// ack is what both APIs return of an acknowledgement.
type ack struct {
	stream    string
	sequence  uint64
	duplicate bool
}

var publishers = []publisher{
	{"jetstream.Publish", publishNew},
	{"jetstream.PublishAsync", publishNewAsync},
	{"nats.JetStream.Publish", publishOld},
	{"nats.JetStream.PublishAsync", publishOldAsync},
}

func (o options) forNew() []jetstream.PublishOpt {
	all := []jetstream.PublishOpt{jetstream.WithRetryAttempts(0)}
	if o.id != "" {
		all = append(all, jetstream.WithMsgID(o.id))
	}
	if o.stream != "" {
		all = append(all, jetstream.WithExpectStream(o.stream))
	}
	if o.lastSequence != nil {
		all = append(all, jetstream.WithExpectLastSequence(*o.lastSequence))
	}
	if o.lastID != "" {
		all = append(all, jetstream.WithExpectLastMsgID(o.lastID))
	}
	return all
}

func (o options) forOld() []nats.PubOpt {
	all := []nats.PubOpt{nats.RetryAttempts(0)}
	if o.id != "" {
		all = append(all, nats.MsgId(o.id))
	}
	if o.stream != "" {
		all = append(all, nats.ExpectStream(o.stream))
	}
	if o.lastSequence != nil {
		all = append(all, nats.ExpectLastSequence(*o.lastSequence))
	}
	if o.lastID != "" {
		all = append(all, nats.ExpectLastMsgId(o.lastID))
	}
	return all
}

func ackOf(a *jetstream.PubAck) ack { return ack{a.Stream, a.Sequence, a.Duplicate} }

func publishNew(ctx context.Context, conn *nats.Conn, m *nats.Msg, o options) (ack, error) {
	js, err := jetstream.New(conn)
	if err != nil {
		return ack{}, err
	}
	a, err := js.PublishMsg(ctx, m, o.forNew()...)
	if err != nil {
		return ack{}, err
	}
	return ackOf(a), nil
}

func publishNewAsync(ctx context.Context, conn *nats.Conn, m *nats.Msg, o options) (ack, error) {
	js, err := jetstream.New(conn)
	if err != nil {
		return ack{}, err
	}
	defer js.CleanupPublisher()
	future, err := js.PublishMsgAsync(m, o.forNew()...)
	if err != nil {
		return ack{}, err
	}
	select {
	case a := <-future.Ok():
		return ackOf(a), nil
	case err := <-future.Err():
		return ack{}, err
	case <-ctx.Done():
		return ack{}, context.Cause(ctx)
	}
}

func publishOld(ctx context.Context, conn *nats.Conn, m *nats.Msg, o options) (ack, error) {
	js, err := conn.JetStream()
	if err != nil {
		return ack{}, err
	}
	a, err := js.PublishMsg(m, append(o.forOld(), nats.Context(ctx))...)
	if err != nil {
		return ack{}, err
	}
	return ack{a.Stream, a.Sequence, a.Duplicate}, nil
}

func publishOldAsync(ctx context.Context, conn *nats.Conn, m *nats.Msg, o options) (ack, error) {
	js, err := conn.JetStream()
	if err != nil {
		return ack{}, err
	}
	defer js.CleanupPublisher()
	future, err := js.PublishMsgAsync(m, o.forOld()...)
	if err != nil {
		return ack{}, err
	}
	select {
	case a := <-future.Ok():
		return ack{a.Stream, a.Sequence, a.Duplicate}, nil
	case err := <-future.Err():
		return ack{}, err
	case <-ctx.Done():
		return ack{}, context.Cause(ctx)
	}
}
