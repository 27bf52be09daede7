package producers

import (
	"context"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/frontend/api"
)

// listProducers returns one page of the producers that a partition remembers.
func (a *API) listProducers(ctx context.Context, data []byte) (any, error) {
	var request protocol.ProducerListRequest
	if err := api.Decode(data, &request); err != nil {
		return nil, err
	}
	if request.Limit == 0 {
		request.Limit = protocol.MaxListedProducers
	}
	if request.Limit < 0 || request.Limit > protocol.MaxListedProducers {
		return nil, protocol.Errorf(protocol.CodeInvalidRequest, "limit is %d, allowed are 1 to %d", request.Limit, protocol.MaxListedProducers)
	}
	if request.After < 0 {
		return nil, protocol.Errorf(protocol.CodeInvalidRequest, "after is %d, allowed are 0 and more", request.After)
	}
	partition, err := a.partition(ctx, request.Topic, request.Partition)
	if err != nil {
		return nil, err
	}
	known, err := a.askProducers(ctx, messages.ListProducers{
		Partition: partition, After: request.After, Limit: uint32(request.Limit),
	})
	if err != nil {
		return nil, err
	}
	response := protocol.ProducerListResponse{Producers: []protocol.ProducerInfo{}, Total: int(known.Total), More: known.More}
	for i := range known.Producers {
		response.Producers = append(response.Producers, infoOfProducer(request.Partition, &known.Producers[i]))
	}
	return response, nil
}

// partition returns a partition of a topic.
func (a *API) partition(ctx context.Context, name string, number int32) (protocol.Partition, error) {
	topic, err := a.config.Topics.Get(ctx, name)
	if err != nil {
		return protocol.Partition{}, err
	}
	if number < 0 || int(number) >= topic.Partitions {
		return protocol.Partition{}, protocol.Errorf(protocol.CodeUnknownTopic, "%s has the partitions 0 to %d, not %d", topic.Name, topic.Partitions-1, number)
	}
	return topic.Partition(int(number)), nil
}

// producerInfo returns the state of one producer on each partition of a topic that remembers
// the producer.
func (a *API) producerInfo(ctx context.Context, data []byte) (any, error) {
	var request protocol.ProducerInfoRequest
	if err := api.Decode(data, &request); err != nil {
		return nil, err
	}
	if (request.ProducerID > 0) == (request.Name != "") || request.ProducerID < 0 {
		return nil, protocol.NewError(protocol.CodeInvalidRequest, "either producer_id, above 0, or name must be given")
	}
	topic, err := a.config.Topics.Get(ctx, request.Topic)
	if err != nil {
		return nil, err
	}
	if request.Name != "" {
		if request.ProducerID, err = a.config.Registry.Find(ctx, request.Name); err != nil {
			return nil, err
		}
	}
	response := protocol.ProducerInfoResponse{Producers: []protocol.ProducerInfo{}}
	for n := range topic.Partitions {
		known, err := a.askProducers(ctx, messages.ListProducers{Partition: topic.Partition(n), Only: request.ProducerID})
		if err != nil {
			return nil, err
		}
		if len(known.Producers) == 1 {
			response.Producers = append(response.Producers, infoOfProducer(int32(n), &known.Producers[0]))
		}
	}
	return response, nil
}

// askProducers asks the replicator of a partition for producers.
func (a *API) askProducers(ctx context.Context, question messages.ListProducers) (messages.Producers, error) {
	question.Asker, question.Request = a.config.Asker, a.questions.Add(1)
	return answerOf(ctx, a, question, func(m messages.Producers) bool { return m.Request == question.Request })
}

func infoOfProducer(partition int32, k *messages.KnownProducer) protocol.ProducerInfo {
	info := protocol.ProducerInfo{
		Partition: partition, ProducerID: k.ProducerID, Name: k.Name, ProducerEpoch: k.ProducerEpoch, AgeMS: k.Age,
	}
	if k.HasLast {
		info.LastSequence = &k.Last
	}
	return info
}
