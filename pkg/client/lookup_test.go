package client_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
)

func TestStartRetriesTemporaryErrors(t *testing.T) {
	c, f := setup(t, 1)
	var asked atomic.Int32
	f.answerInit(func(protocol.ProducerInitRequest) protocol.ProducerInitResponse {
		if asked.Add(1) < 3 {
			return protocol.ProducerInitResponse{Error: protocol.NewError(protocol.CodeUnavailable, "")}
		}
		return protocol.ProducerInitResponse{ProducerID: producerID, ProducerEpoch: producerEpoch}
	})
	produce(t, c, f, client.ProducerOptions{})
	if asked.Load() != 3 {
		t.Errorf("%d requests", asked.Load())
	}
}

func TestStartWithoutLanewayNamesCause(t *testing.T) {
	c, err := client.Connect(server.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = startInVain(t, c, "orders", nats.ErrNoResponders) // startInVain checks the error
}

// startInVain starts a producer that cannot start, and returns the error. The timeout
// grows until it is long enough for the error to name the cause.
func startInVain(t *testing.T, c *client.Client, topic string, why error) error {
	t.Helper()
	for limit := 200 * time.Millisecond; ; limit *= 2 {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		_, err := c.Producer(ctx, topic, client.ProducerOptions{})
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || limit > patience {
			t.Fatalf("error %v", err)
		}
		if errors.Is(err, why) {
			return err
		}
	}
}

func TestProducerEndsWhenTopicIsDeleted(t *testing.T) {
	for says, answer := range map[string]func(topic protocol.Topic) protocol.TopicResponse{
		" was deleted": func(topic protocol.Topic) protocol.TopicResponse {
			return protocol.TopicResponse{Error: protocol.NewError(protocol.CodeUnknownTopic, topic.Name)}
		},
		" was deleted and made again": func(topic protocol.Topic) protocol.TopicResponse {
			topic.ID++
			return protocol.TopicResponse{Topic: &topic}
		},
	} {
		t.Run(says, func(t *testing.T) {
			c, f := setup(t, 2)
			there := func() protocol.TopicResponse { return protocol.TopicResponse{Topic: &f.topic} }
			var p *client.Producer
			failed := betweenAttempts(t, func() error {
				f.answerInfo(there)
				p = produce(t, c, f, client.ProducerOptions{Partition: new(int32(1))})
				f.answerInfo(func() protocol.TopicResponse { return answer(f.topic) })
				future := publish(t, p, "a")
				_, err := future.Wait(bounded(t))
				return err
			})
			if failed.Partition != 1 || failed.Err.Code != protocol.CodeUnknownTopic || failed.Err.Detail != f.topic.Name+says {
				t.Fatalf("%+v", failed)
			}
			if again := p.Close(bounded(t)); !errors.Is(again, failed) {
				t.Errorf("closed with %v", again)
			}
		})
	}
}

func TestLookupsAreRateLimited(t *testing.T) {
	const pause = 2 * time.Second // the shortest time between two lookups
	c, f := setup(t, 1)
	asked, retries := make(chan struct{}, 4096), make(chan struct{}, 4096)
	p := produce(t, c, f, client.ProducerOptions{OnRetry: func(int32, *protocol.Error) { retries <- struct{}{} }})
	f.answerInfo(func() protocol.TopicResponse {
		asked <- struct{}{}
		return protocol.TopicResponse{Topic: &f.topic}
	})
	begin := time.Now()
	publish(t, p, "a")
	next(t, asked)
	for range 5 {
		next(t, retries)
	}
	more := len(asked)
	if took := time.Since(begin); more > int(took/pause) {
		t.Errorf("%d requests in %s", 1+more, took)
	}
}

func TestUnservedProducerFailsAfterDeliveryTimeout(t *testing.T) {
	c, f := setup(t, 1)
	failed := betweenAttempts(t, func() error {
		p := produce(t, c, f, client.ProducerOptions{DeliveryTimeout: 50 * time.Millisecond})
		publish(t, p, "a")
		return p.Flush(bounded(t))
	})
	if failed.Err.Code != protocol.CodeUnavailable || !strings.Contains(failed.Err.Detail, "no service answers on ") {
		t.Errorf("%+v", failed)
	}
}

func TestCloseDuringLookup(t *testing.T) {
	c, f := setup(t, 1)
	p := produce(t, c, f, client.ProducerOptions{})
	asked, answer := make(chan struct{}, 9), make(chan struct{})
	f.answerInfo(func() protocol.TopicResponse {
		asked <- struct{}{}
		<-answer
		return protocol.TopicResponse{}
	})
	publish(t, p, "a")
	next(t, asked)
	if err := p.Close(soon(t)); !errors.Is(err, client.ErrClosed) {
		t.Errorf("error %v", err)
	}
	close(answer)
}
