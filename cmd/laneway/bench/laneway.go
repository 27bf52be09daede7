package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
)

// topicPlace are topics of Laneway.
type topicPlace struct {
	link
	plan    *Plan
	layout  layout
	topics  []protocol.Topic // those that may have been created have names
	laneway *client.Client
}

func newTopicPlace(s *servers, p *Plan, l layout) (place, error) {
	t := &topicPlace{link: link{url: s.url, subjects: make([]string, l.targets())}, plan: p, layout: l, topics: make([]protocol.Topic, l.topics)}
	err := t.connect()
	return t, err
}

func (t *topicPlace) connect() error {
	if err := t.link.connect(); err != nil {
		return err
	}
	t.laneway = client.New(t.conn)
	return nil
}

func (t *topicPlace) create(ctx context.Context) error {
	run := "bench-" + strings.ToLower(nuid.Next())
	atOnce := setupWorkers
	if t.layout.partitions > 1 {
		atOnce = 1 // Laneway creates the partitions of a topic at once, and the topics have a time limit
	}
	err := each(ctx, t.layout.topics, atOnce, func(ctx context.Context, n int) error {
		config := protocol.TopicConfig{Name: fmt.Sprintf("%s-%d", run, n), Partitions: t.layout.partitions, Replicas: t.plan.Cluster}
		if t.layout.bound {
			config.Subjects = []string{"bench." + config.Name}
		}
		t.topics[n].Name = config.Name // to be deleted, also if no answer comes
		created, err := t.laneway.Admin().CreateTopic(ctx, config)
		if err == nil {
			t.topics[n] = created
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("create topics: %w", err)
	}
	for target := range t.subjects {
		topic, partition := t.layout.topicOf(target)
		t.subjects[target] = t.topics[topic].Partition(partition).ProduceSubject()
		if t.layout.bound {
			t.subjects[target] = t.topics[topic].Subjects[0]
		}
	}
	return nil
}

func (t *topicPlace) sender(ctx context.Context, conn *nats.Conn, n int) (sender, error) {
	if t.plan.Work == Publish {
		return newAsyncSender(conn, t.subjects, newRecordMaker(n, t.plan.RecordBytes), t.plan.InFlight, 1)
	}
	return newBatchSender(ctx, conn, t, n)
}

// seed lets every producer send a record to each of the targets. A producer of Laneway is
// idempotent, so that the partitions remember it.
func (t *topicPlace) seed(ctx context.Context, targets []int, producers int) error {
	for range producers {
		answer, err := t.conn.RequestWithContext(ctx, protocol.ProducerAPI+"init", []byte("{}"))
		if err != nil {
			return fmt.Errorf("start a producer: %w", err)
		}
		var who protocol.ProducerInitResponse
		if err := json.Unmarshal(answer.Data, &who); err != nil {
			return fmt.Errorf("start a producer: %w", err)
		}
		if who.Error != nil {
			return fmt.Errorf("start a producer: %w", who.Error)
		}
		identity := nats.Header{
			protocol.HeaderProducerID:    {strconv.FormatInt(who.ProducerID, 10)},
			protocol.HeaderProducerEpoch: {strconv.Itoa(int(who.ProducerEpoch))},
			protocol.HeaderSequence:      {"0"},
			protocol.HeaderFirstUnacked:  {"0"},
		}
		if err := seed(ctx, t, targets, t.plan.RecordBytes, identity); err != nil {
			return err
		}
	}
	return nil
}

func (t *topicPlace) consume(ctx context.Context, records int64, check *checker) error {
	for r, err := range t.laneway.Consumer(client.ConsumerOptions{Topic: t.topics[0].Name}).Records(ctx) {
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
	var sum atomic.Int64
	err := each(ctx, len(t.topics), setupWorkers, func(ctx context.Context, n int) error {
		_, partitions, err := t.laneway.Admin().TopicInfo(ctx, t.topics[n].Name)
		if err == nil && len(partitions) != t.layout.partitions {
			err = fmt.Errorf("topic %s has %s, %d were made", t.topics[n].Name, count(len(partitions), "partition"), t.layout.partitions)
		}
		for _, p := range partitions {
			sum.Add(p.EndOffset)
		}
		return err
	})
	return sum.Load(), err
}

// remove deletes the topics from a Laneway that stays.
func (t *topicPlace) remove(ctx context.Context) error {
	defer t.conn.Close()
	if t.plan.Server == "" {
		return nil
	}
	return each(ctx, len(t.topics), setupWorkers, func(ctx context.Context, n int) error {
		if t.topics[n].Name == "" {
			return nil
		}
		err := t.laneway.Admin().DeleteTopic(ctx, t.topics[n].Name)
		if errors.Is(err, protocol.NewError(protocol.CodeUnknownTopic, "")) {
			return nil
		}
		return err
	})
}

// batchSender sends batches by Laneway's own client.
type batchSender struct {
	producer *client.Producer
	maker    *recordMaker
	value    []byte
	batch    int
	keyed    bool  // records have random keys, which choose the partitions
	flushed  int64 // records that earlier calls of send have reported
}

func newBatchSender(ctx context.Context, conn *nats.Conn, t *topicPlace, n int) (sender, error) {
	s := &batchSender{
		maker: newRecordMaker(n, t.plan.RecordBytes), value: make([]byte, t.plan.RecordBytes),
		batch: t.plan.batchRecords(), keyed: t.targets() > 1,
	}
	// A record takes at most 11 bytes in a frame beside its value.
	frame := s.batch*(t.plan.RecordBytes+11) + 16
	options := client.ProducerOptions{
		BatchBytes: frame, MaxBatchBytes: t.plan.MaxBatchBytes, BatchRecords: max(s.batch, t.plan.MaxBatchBytes/t.plan.RecordBytes),
		MaxInFlight: t.plan.InFlight, BufferBytes: 2 * spreadBytes(t.plan.InFlight*max(frame, t.plan.MaxBatchBytes), t.targets()),
	}
	if !s.keyed {
		// Longer than filling a batch takes, so that every batch is full. With many partitions, batches
		// of all of them would wait until the buffer is full instead.
		options.Linger = time.Second
	}
	var err error
	s.producer, err = client.New(conn).Producer(ctx, t.topics[0].Name, options)
	return s, err
}

func (s *batchSender) send(ctx context.Context, allowance *allowance) (int64, error) {
	sent := int64(0)
	for allowance.take(s.batch) {
		for range s.batch {
			s.maker.fill(s.value)
			record := client.ProducerRecord{Value: s.value}
			if s.keyed {
				record.Key = strconv.FormatUint(rand.Uint64(), 36)
			}
			if _, err := s.producer.Publish(ctx, record); err != nil {
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
