package producers

import (
	"context"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/frontend/api"
	"laneway.dev/services/frontend/core/ask"
)

// truncate drops the records of a partition below an offset. The replicator is silent while they are
// archived, so a request may end without an answer, and be repeated.
func (a *API) truncate(ctx context.Context, data []byte) (any, error) {
	var request protocol.TopicTruncateRequest
	if err := api.Decode(data, &request); err != nil {
		return nil, err
	}
	if request.Before < 0 {
		return nil, protocol.Errorf(protocol.CodeInvalidRequest, "before is %d, allowed are 0 and more", request.Before)
	}
	partition, err := a.partition(ctx, request.Name, request.Partition)
	if err != nil {
		return nil, err
	}
	answer, err := a.askTruncate(ctx, messages.Truncate{Partition: partition, Before: request.Before})
	if err == nil && answer.Code != protocol.CodeOK {
		err = protocol.NewError(answer.Code, answer.Detail)
	}
	if err != nil {
		return nil, err
	}
	return protocol.TopicTruncateResponse{Partition: request.Partition, StartOffset: answer.Start}, nil
}

// askTruncate sends a question to the replicator of a partition until it is answered.
func (a *API) askTruncate(ctx context.Context, question messages.Truncate) (answer messages.Truncated, err error) {
	question.Epoch, question.Request = a.config.Epoch(), a.questions.Add(1)
	questions := ask.New(a.config.Heartbeat)
	questions.Add(question)
	a.converse(ctx, func(now time.Time, events []any) ([]messages.Envelope, bool) {
		for _, e := range events {
			switch e := e.(type) {
			case messages.Truncated:
				if e.Request == question.Request {
					answer = e
					return nil, true
				}
			case messages.ReadOnly:
				if err = questions.Damaged(e); err != nil {
					return nil, true
				}
			case canceled:
				err = protocol.Errorf(protocol.CodeUnavailable, "partition %s: the records below offset %d are not dropped yet (%v); "+
					"are a replicator and an archiver running?", question.Partition, question.Before, e.cause)
				return nil, true
			}
		}
		return questions.Due(now), false
	})
	return answer, err
}
