package client

import (
	"context"
	"iter"

	"laneway.dev/pkg/messages"
)

// ListProducers yields the producers that a partition remembers, in the order of
// their ids; it asks for more while it goes. The iteration ends after the last
// one, or after an error.
func (a *Admin) ListProducers(ctx context.Context, topic string, partition int32) iter.Seq2[messages.ProducerInfo, error] {
	return func(yield func(messages.ProducerInfo, error) bool) {
		request := messages.ProducerListRequest{Topic: topic, Partition: partition}
		for more := true; more; {
			var response messages.ProducerListResponse
			if err := a.client.call(ctx, messages.ProducerAPI+"list", request, &response); err != nil {
				yield(messages.ProducerInfo{}, err)
				return
			}
			for _, producer := range response.Producers {
				if !yield(producer, nil) {
					return
				}
				request.After = producer.ProducerID
			}
			more = response.More && len(response.Producers) > 0
		}
	}
}

// ProducerInfo returns what the partitions of a topic remember of a producer,
// which the request names by its id or its name: an item for each partition that
// knows it.
func (a *Admin) ProducerInfo(ctx context.Context, request messages.ProducerInfoRequest) ([]messages.ProducerInfo, error) {
	var response messages.ProducerInfoResponse
	if err := a.client.call(ctx, messages.ProducerAPI+"info", request, &response); err != nil {
		return nil, err
	}
	return response.Producers, nil
}
