package bench

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
)

// topicPlace is a topic of Laneway.
type topicPlace struct {
	plan    *Plan
	url     string
	topic   protocol.Topic
	conn    *nats.Conn
	laneway *client.Client
	js      jetstream.JetStream // an unmodified client, for which Laneway is JetStream
}

func newTopicPlace(ctx context.Context, s *servers, p *Plan) (place, error) {
	t := &topicPlace{plan: p, url: s.url}
	if err := t.connect(); err != nil {
		return nil, err
	}
	var err error
	t.topic, err = t.laneway.Admin().CreateTopic(ctx, protocol.TopicConfig{
		Name: "bench-" + strings.ToLower(nuid.Next()), Replicas: p.Cluster,
	})
	if err != nil {
		t.conn.Close()
		return nil, fmt.Errorf("create a topic: %w", err)
	}
	return t, nil
}

func (t *topicPlace) connect() (err error) {
	if t.conn != nil {
		t.conn.Close()
	}
	if t.conn, err = connect(t.url); err != nil {
		return err
	}
	t.laneway = client.New(t.conn)
	t.js, err = jetstream.New(t.conn)
	return err
}

func (t *topicPlace) subject() string { return t.topic.Partition(0).ProduceSubject() }

func (t *topicPlace) sender(ctx context.Context, conn *nats.Conn, n int) (sender, error) {
	if t.plan.Work == Publish {
		return newAsyncSender(conn, t.subject(), newRecordMaker(n, t.plan.RecordBytes), t.plan.InFlight, 1)
	}
	return newBatchSender(ctx, conn, t, n)
}

func (t *topicPlace) publish(ctx context.Context, value []byte) error {
	_, err := t.js.Publish(ctx, t.subject(), value)
	return err
}

func (t *topicPlace) consume(ctx context.Context, records int64, check *checker) error {
	for r, err := range t.laneway.Consumer(client.ConsumerOptions{Topic: t.topic.Name}).Records(ctx) {
		if err != nil {
			return err
		}
		if err := check.record(r.Value); err != nil {
			return err
		}
	}
	return nil
}

func (t *topicPlace) records(ctx context.Context) (int64, error) {
	_, partitions, err := t.laneway.Admin().TopicInfo(ctx, t.topic.Name)
	switch {
	case err != nil:
		return 0, err
	case len(partitions) != 1:
		return 0, fmt.Errorf("topic %s has %d partitions, one was made", t.topic.Name, len(partitions))
	}
	return partitions[0].EndOffset, nil
}

func (t *topicPlace) remove(ctx context.Context) error {
	err := t.laneway.Admin().DeleteTopic(ctx, t.topic.Name)
	t.conn.Close()
	return err
}

// batchSender sends batches by Laneway's own client.
type batchSender struct {
	producer *client.Producer
	maker    *recordMaker
	value    []byte
	batch    int
	flushed  int64 // records that earlier calls of send have reported
}

func newBatchSender(ctx context.Context, conn *nats.Conn, t *topicPlace, n int) (sender, error) {
	s := &batchSender{
		maker: newRecordMaker(n, t.plan.RecordBytes), value: make([]byte, t.plan.RecordBytes),
		batch: t.plan.batchRecords(),
	}
	// A record takes at most 11 bytes in a frame beside its value. The linger is longer than
	// filling a batch takes, so that every batch is full.
	frame := s.batch*(t.plan.RecordBytes+11) + 16
	var err error
	s.producer, err = client.New(conn).Producer(ctx, t.topic.Name, client.ProducerOptions{
		BatchBytes: frame, MaxBatchBytes: t.plan.MaxBatchBytes, BatchRecords: max(s.batch, t.plan.MaxBatchBytes/t.plan.RecordBytes),
		Linger: time.Second, MaxInFlight: t.plan.InFlight,
		BufferBytes: 2 * t.plan.InFlight * max(frame, t.plan.MaxBatchBytes),
	})
	return s, err
}

func (s *batchSender) send(ctx context.Context, allowance *allowance) (int64, error) {
	sent := int64(0)
	for allowance.take(s.batch) {
		for range s.batch {
			s.maker.fill(s.value)
			if _, err := s.producer.Publish(ctx, client.ProducerRecord{Value: s.value}); err != nil {
				return 0, err
			}
		}
		sent += int64(s.batch)
	}
	if err := s.producer.Flush(ctx); err != nil {
		return 0, err
	}
	acked := s.producer.Summary().AckedRecords - s.flushed
	s.flushed += acked
	if acked != sent {
		return acked, fmt.Errorf("%d records were sent, %d were acknowledged", sent, acked)
	}
	return acked, nil
}

func (s *batchSender) close(ctx context.Context) error { return s.producer.Close(ctx) }
