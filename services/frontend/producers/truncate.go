package producers

import (
	"context"
	"errors"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/frontend/api"
)

// truncate drops the records of a partition below an offset. The replicator is silent while they are
// archived, so a request may end without an answer, and be repeated. The replicator remembers it.
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

// askTruncate asks the replicator of a partition to drop records.
func (a *API) askTruncate(ctx context.Context, question messages.Truncate) (messages.Truncated, error) {
	question.Asker, question.Request = a.config.Asker, a.questions.Add(1)
	answer, err := answerOf(ctx, a, question, func(m messages.Truncated) bool { return m.Request == question.Request })
	if errors.Is(err, protocol.NewError(protocol.CodeUnavailable, "")) {
		err = protocol.Errorf(protocol.CodeUnavailable, "partition %s: the records below offset %d are not dropped yet; are a replicator and an archiver running? "+
			"A replicator that has received the request drops them when they are archived, unless it ends before; the request cannot be withdrawn",
			question.Partition, question.Before)
	}
	return answer, err
}
