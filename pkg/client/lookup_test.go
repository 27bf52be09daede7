package client_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
)

func TestAProducerEndsWhenItsTopicIsGone(t *testing.T) {
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

func TestWhileATopicIsThereItIsNotAskedForAgainAndAgain(t *testing.T) {
	const pause = 2 * time.Second // the least time between two questions
	c, f := setup(t, 1)
	asked, retries := make(chan struct{}, 4096), make(chan struct{}, 4096)
	p := produce(t, c, f, client.ProducerOptions{OnRetry: func(int32, *protocol.Error) { retries <- struct{}{} }})
	f.answerInfo(func() protocol.TopicResponse {
		asked <- struct{}{}
		return protocol.TopicResponse{Topic: &f.topic}
	})
	begun := time.Now()
	publish(t, p, "a")
	next(t, asked)
	for range 5 {
		next(t, retries)
	}
	more := len(asked)
	if took := time.Since(begun); more > int(took/pause) {
		t.Errorf("asked %d times in %s", 1+more, took)
	}
}

func TestWhileNobodyServesATopicThatIsThereItsProducersFailAfterTheDeliveryTimeout(t *testing.T) {
	c, f := setup(t, 1)
	failed := betweenAttempts(t, func() error {
		p := produce(t, c, f, client.ProducerOptions{DeliveryTimeout: 50 * time.Millisecond})
		publish(t, p, "a")
		return p.Flush(bounded(t))
	})
	if failed.Err.Code != protocol.CodeUnavailable || !strings.Contains(failed.Err.Detail, "nobody serves ") {
		t.Errorf("%+v", failed)
	}
}

func TestAProducerIsClosedWhileItsTopicIsAskedFor(t *testing.T) {
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
