package bench

import (
	"context"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The ways to do the work on JetStream.
const (
	modeAsync   = "async publish"
	modeAtomic  = "atomic batches"
	modePublish = "publish"
	modeOrdered = "ordered consumer"
	modeStreams = "streams"
	modeTopics  = "topics" // of Laneway
)

// modeMessages is the way in which a message holds a whole batch, named by its size.
func (p *Plan) modeMessages() string { return bytesOf(p.BatchBytes) + " messages" }

// streamPlace are streams of JetStream, one for each target.
type streamPlace struct {
	link
	plan   *Plan
	mode   string
	packed bool // a message holds a whole batch
}

// newStreamPlace returns the function that opens the place of a mode.
func newStreamPlace(mode string) func(*servers, *Plan, layout) (place, error) {
	return func(s *servers, p *Plan, l layout) (place, error) {
		t := &streamPlace{link: link{url: s.url, subjects: make([]string, l.targets())}, plan: p, mode: mode, packed: mode == p.modeMessages()}
		for target := range t.subjects {
			t.subjects[target] = "bench." + streamName(target)
		}
		err := t.connect()
		return t, err
	}
}

func streamName(target int) string { return "BENCH-" + strconv.Itoa(target) }

func (t *streamPlace) create(ctx context.Context) error {
	err := each(ctx, t.targets(), setupWorkers, func(ctx context.Context, target int) error {
		_, err := t.js.CreateStream(ctx, jetstream.StreamConfig{
			Name: streamName(target), Subjects: t.subjects[target : target+1], Storage: jetstream.FileStorage, Replicas: t.plan.Cluster,
			AllowAtomicPublish: t.mode == modeAtomic,
		})
		return err
	})
	if err != nil {
		return fmt.Errorf("create streams: %w", err)
	}
	return nil
}

// seed sends as many records to each of the targets as there are producers, which
// JetStream does not know.
func (t *streamPlace) seed(ctx context.Context, targets []int, producers int) error {
	for range producers {
		if err := seed(ctx, t, targets, t.plan.RecordBytes, nil); err != nil {
			return err
		}
	}
	return nil
}

func (t *streamPlace) sender(_ context.Context, conn *nats.Conn, n int) (sender, error) {
	many, maker := t.plan.batchRecords(), newRecordMaker(n, t.plan.RecordBytes)
	switch {
	case t.plan.Work == Publish:
		return newAsyncSender(conn, t.subjects, maker, t.plan.InFlight, 1)
	case t.mode == modeAtomic:
		return newAtomicSender(conn, t.subjects[0], t.plan, n)
	case t.packed:
		return newAsyncSender(conn, t.subjects, maker, t.plan.InFlight, many)
	default:
		// As many bytes in flight as in the batches of Laneway.
		window := spreadBytes(t.plan.InFlight*many*t.plan.RecordBytes, t.targets()) / t.plan.RecordBytes
		return newAsyncSender(conn, t.subjects, maker, window, 1)
	}
}

// consume reads through an ordered consumer, which fetches ahead.
func (t *streamPlace) consume(ctx context.Context, records int64, check *checker) error {
	consumer, err := t.js.OrderedConsumer(ctx, streamName(0), jetstream.OrderedConsumerConfig{})
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
	messages := int64(0)
	streams := t.js.ListStreams(ctx, jetstream.WithStreamListSubject("bench.>"))
	for info := range streams.Info() {
		messages += int64(info.State.Msgs)
	}
	if t.packed {
		messages *= int64(t.plan.batchRecords())
	}
	return messages, streams.Err()
}

// remove closes the connection. The streams go with their servers.
func (t *streamPlace) remove(context.Context) error {
	t.conn.Close()
	return nil
}
