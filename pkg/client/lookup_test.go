package client_test

import (
	"errors"
	"testing"
	"time"

	"laneway.dev/pkg/client"
	"laneway.dev/pkg/messages"
)

func TestAProducerEndsWhenItsTopicIsGone(t *testing.T) {
	for says, answer := range map[string]func(topic messages.Topic) messages.TopicResponse{
		" was deleted": func(topic messages.Topic) messages.TopicResponse {
			return messages.TopicResponse{Error: messages.NewError(messages.CodeUnknownTopic, topic.Name)}
		},
		" was deleted and made again": func(topic messages.Topic) messages.TopicResponse {
			topic.ID++
			return messages.TopicResponse{Topic: &topic}
		},
	} {
		t.Run(says, func(t *testing.T) {
			c, f := setup(t, 2)
			p := produce(t, c, f, client.ProducerOptions{Partition: new(int32(1))})
			f.answerInfo(func() messages.TopicResponse { return answer(f.topic) })
			future := publish(t, p, "a")
			_, err := future.Wait(bounded(t))
			failed, ok := errors.AsType[*client.ProduceError](err)
			if !ok || failed.Partition != 1 || failed.Err.Code != messages.CodeUnknownTopic || failed.Err.Detail != f.topic.Name+says || !failed.Absent {
				t.Fatalf("%+v", failed)
			}
			if again := p.Close(bounded(t)); !errors.Is(again, failed) {
				t.Errorf("closed with %v", again)
			}
		})
	}
}

func TestWhileATopicIsThereItIsNotAskedForAgainAndAgain(t *testing.T) {
	c, f := setup(t, 1)
	p := produce(t, c, f, client.ProducerOptions{DeliveryTimeout: 1500 * time.Millisecond})
	before := f.asked.Load()
	publish(t, p, "a")
	failed, ok := errors.AsType[*client.ProduceError](p.Flush(bounded(t)))
	if !ok || failed.Err.Code != messages.CodeUnavailable || p.Summary().Retries < 3 {
		t.Errorf("%+v after %d retries", failed, p.Summary().Retries)
	}
	if asked := f.asked.Load() - before; asked != 1 {
		t.Errorf("asked %d times", asked)
	}
}

func TestAProducerIsClosedWhileItsTopicIsAskedFor(t *testing.T) {
	c, f := setup(t, 1)
	p := produce(t, c, f, client.ProducerOptions{})
	asked, answer := make(chan struct{}), make(chan struct{})
	f.answerInfo(func() messages.TopicResponse {
		close(asked)
		<-answer
		return messages.TopicResponse{}
	})
	publish(t, p, "a")
	next(t, asked)
	if err := p.Close(soon(t)); !errors.Is(err, client.ErrClosed) {
		t.Errorf("error %v", err)
	}
	close(answer)
}
