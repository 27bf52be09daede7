package bench

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// The ways to do the work on JetStream.
const (
	modeAsync   = "async publish"
	modeAtomic  = "atomic batches"
	modePublish = "publish"
	modeOrdered = "ordered consumer"
)

// modeMessages is the way in which a message holds a whole batch, named by its size.
func (p *Plan) modeMessages() string { return bytesOf(p.BatchBytes) + " messages" }

// streamPlace is a stream of JetStream.
type streamPlace struct {
	plan   *Plan
	mode   string
	url    string
	name   string
	conn   *nats.Conn
	js     jetstream.JetStream
	packed bool // a message holds a whole batch
}

// newStreamPlace returns the function that creates the stream of a mode.
func newStreamPlace(mode string) func(context.Context, *servers, *Plan) (place, error) {
	return func(ctx context.Context, s *servers, p *Plan) (place, error) {
		t := &streamPlace{plan: p, mode: mode, url: s.url, name: "BENCH-" + nuid.Next(), packed: mode == p.modeMessages()}
		if err := t.connect(); err != nil {
			return nil, err
		}
		_, err := t.js.CreateStream(ctx, jetstream.StreamConfig{
			Name: t.name, Subjects: []string{t.subject()}, Storage: jetstream.FileStorage, Replicas: p.Cluster,
			AllowAtomicPublish: mode == modeAtomic,
		})
		if err != nil {
			t.conn.Close()
			return nil, fmt.Errorf("create a stream: %w", err)
		}
		return t, nil
	}
}

func (t *streamPlace) connect() (err error) {
	if t.conn != nil {
		t.conn.Close()
	}
	if t.conn, err = connect(t.url); err != nil {
		return err
	}
	t.js, err = jetstream.New(t.conn)
	return err
}

func (t *streamPlace) subject() string { return "bench." + t.name }

func (t *streamPlace) sender(_ context.Context, conn *nats.Conn, n int) (sender, error) {
	many, maker := t.plan.batchRecords(), newRecordMaker(n, t.plan.RecordBytes)
	switch {
	case t.plan.Work == Publish:
		return newAsyncSender(conn, t.subject(), maker, t.plan.InFlight, 1)
	case t.mode == modeAtomic:
		return newAtomicSender(conn, t.subject(), t.plan, n)
	case t.packed:
		return newAsyncSender(conn, t.subject(), maker, t.plan.InFlight, many)
	default:
		// As many bytes in flight as in the batches of Laneway.
		return newAsyncSender(conn, t.subject(), maker, t.plan.InFlight*many, 1)
	}
}

func (t *streamPlace) publish(ctx context.Context, value []byte) error {
	_, err := t.js.Publish(ctx, t.subject(), value)
	return err
}

// consume reads through an ordered consumer, which fetches ahead.
func (t *streamPlace) consume(ctx context.Context, records int64, check *checker) error {
	consumer, err := t.js.OrderedConsumer(ctx, t.name, jetstream.OrderedConsumerConfig{})
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	finish := func(err error) {
		select {
		case done <- err:
		default: // the first result counts
		}
	}
	reading, err := consumer.Consume(func(m jetstream.Msg) {
		take := check.record
		if t.packed {
			take = check.several
		}
		if err := take(m.Data()); err != nil || check.records >= records {
			finish(err)
		}
	}, t.ahead())
	if err != nil {
		return err
	}
	defer reading.Stop()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// ahead returns how many messages an ordered consumer requests at once.
func (t *streamPlace) ahead() jetstream.PullConsumeOpt {
	if t.packed {
		return jetstream.PullMaxMessages(256)
	}
	return jetstream.PullMaxMessages(8192)
}

func (t *streamPlace) records(ctx context.Context) (int64, error) {
	stream, err := t.js.Stream(ctx, t.name)
	if err != nil {
		return 0, err
	}
	messages := int64(stream.CachedInfo().State.Msgs)
	if t.packed {
		return messages * int64(t.plan.batchRecords()), nil
	}
	return messages, nil
}

func (t *streamPlace) remove(ctx context.Context) error {
	err := t.js.DeleteStream(ctx, t.name)
	t.conn.Close()
	return err
}
