package e2e

import (
	"errors"
	"testing"
	"time"

	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
	"laneway.dev/test/deployment"
)

// TestTruncate drops the records below an offset, and then those before a time, while a consumer follows.
func TestTruncate(t *testing.T) {
	t.Parallel()
	ctx := within(t, 2*time.Minute)
	f := start(t, deployment.OneProcess, deployment.Options{
		Frontend: []string{"--cache-bytes", "1"}, Replicator: []string{"--archive-bytes", "64KiB", "--archive-age", "1h"},
	})
	c := f.client(t, f.URL())
	topic, err := c.Admin().CreateTopic(ctx, protocol.TopicConfig{Name: "truncated"})
	if err != nil {
		t.Fatal(err)
	}
	s := &series{Partition: topic.Partition(0), records: 200}
	begin := time.Now()
	followed := make(chan error, 1)
	go func() {
		next := int64(0)
		for r, err := range c.Consumer(client.ConsumerOptions{Topic: s.Topic, Partition: &s.Number, Follow: true, MaxRecords: s.records + 1}).Records(ctx) {
			if err == nil && r.Offset != next {
				err = errors.New("an offset is missing")
			}
			if err != nil {
				followed <- err
				return
			}
			next++
		}
		followed <- nil
	}()
	if err := s.publish(ctx, c); err != nil {
		t.Fatal(err)
	}
	if err := s.read(ctx, c, begin, time.Now()); err != nil {
		t.Fatal(err)
	}

	truncate := func(before, want int64) {
		t.Helper()
		if start, err := c.Admin().TruncateTopic(ctx, s.Topic, s.Number, before); err != nil || start != want {
			t.Fatalf("before %d: the partition starts at %d, want %d: %v", before, start, want, err)
		}
		if want == s.records {
			return
		}
		below := want - 1
		if err := s.readRest(ctx, c, want, client.ConsumerOptions{}); err != nil {
			t.Errorf("from the earliest: %v", err)
		}
		if err := s.readRest(ctx, c, want, client.ConsumerOptions{Offset: &want}); err != nil {
			t.Errorf("from the start: %v", err)
		}
		if err := s.readRest(ctx, c, below, client.ConsumerOptions{Offset: &below}); !errors.Is(err, protocol.NewError(protocol.CodeOffsetOutOfRange, "")) {
			t.Errorf("from below the start: %v", err)
		}
	}
	truncate(7, 7)
	truncate(7, 7)
	truncate(3, 7)
	if _, err := c.Admin().TruncateTopic(ctx, s.Topic, s.Number, s.records+1); !errors.Is(err, protocol.NewError(protocol.CodeInvalidRequest, "")) {
		t.Errorf("above the end: %v", err)
	}

	at := s.times[s.records-2] // in the part that no job was due for
	before, err := c.Admin().OffsetAt(ctx, s.Topic, s.Number, at)
	if err != nil || before > s.records-2 || s.times[before].Before(at) || s.times[before-1].Equal(at) {
		t.Fatalf("the offset of %s is %d: %v", at, before, err)
	}
	truncate(before, before)
	if all, err := c.Admin().OffsetAt(ctx, s.Topic, s.Number, time.Now()); err != nil || all != s.records {
		t.Errorf("the offset of the present is %d: %v", all, err)
	}
	if at, err := c.Admin().OffsetAt(ctx, s.Topic, s.Number, time.Now().Add(time.Hour)); !errors.Is(err, protocol.NewError(protocol.CodeInvalidRequest, "")) {
		t.Errorf("the offset of a time to come is %d: %v", at, err)
	}
	truncate(s.records, s.records)

	p, err := c.Producer(ctx, s.Topic, client.ProducerOptions{Partition: &s.Number})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Publish(ctx, s.record(s.records)); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-followed; err != nil {
		t.Errorf("the consumer that follows: %v", err)
	}
	f.verifyStore(ctx, t, 0, nil, "--nats", f.URL())
}
