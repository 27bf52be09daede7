package client

import (
	"context"
	"iter"

	"laneway.dev/pkg/protocol"
)

// ListProducers yields the producers that a partition remembers, in the order of
// their ids; it asks for more while it goes. The iteration ends after the last
// one, or after an error.
func (a *Admin) ListProducers(ctx context.Context, topic string, partition int32) iter.Seq2[protocol.ProducerInfo, error] {
	return func(yield func(protocol.ProducerInfo, error) bool) {
		request := protocol.ProducerListRequest{Topic: topic, Partition: partition}
		for more := true; more; {
			var response protocol.ProducerListResponse
			if err := a.client.call(ctx, protocol.ProducerAPI+"list", request, &response); err != nil {
				yield(protocol.ProducerInfo{}, err)
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
func (a *Admin) ProducerInfo(ctx context.Context, request protocol.ProducerInfoRequest) ([]protocol.ProducerInfo, error) {
	var response protocol.ProducerInfoResponse
	if err := a.client.call(ctx, protocol.ProducerAPI+"info", request, &response); err != nil {
		return nil, err
	}
	return response.Producers, nil
}
