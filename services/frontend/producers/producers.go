package producers

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"laneway.dev/internal/producerregistry"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/frontend/api"
)

// fenceKey names a fence in the answer to it.
type fenceKey struct {
	partition protocol.Partition
	id        int64
	epoch     int16
}

// asksAtOnce bounds the partitions that one request asks at the same time.
const asksAtOnce = 16

// initProducer gives a producer its identity. That of a named one is fenced in the
// log of every partition of the topics before it is told.
func (a *API) initProducer(ctx context.Context, data []byte) (any, error) {
	var request protocol.ProducerInitRequest
	if err := api.Decode(data, &request); err != nil {
		return nil, err
	}
	if request.Name == "" {
		if len(request.Topics) > 0 {
			return nil, protocol.NewError(protocol.CodeInvalidRequest, "topics are for a producer with a name: a new id has nothing in them")
		}
		return protocol.ProducerInitResponse{ProducerID: producerregistry.New()}, nil
	}
	if err := checkInit(&request); err != nil {
		return nil, err
	}
	topics, err := a.initTopics(ctx, request.Topics)
	if err != nil {
		return nil, err
	}
	ids := make([]uint64, len(topics))
	for i := range topics {
		ids[i] = topics[i].ID
	}
	identity, err := a.config.Registry.Next(ctx, request.Name, request.Instance)
	if err != nil {
		return nil, err
	}
	positions, err := a.fencePartitions(ctx, topics, &identity)
	for {
		taken, is := errors.AsType[*epochTaken](err)
		if !is {
			break
		}
		if identity, err = a.config.Registry.Surpass(ctx, identity, taken.epoch); err == nil {
			positions, err = a.fencePartitions(ctx, topics, &identity)
		}
	}
	if err != nil {
		return nil, err
	}
	// Only what is fenced is remembered: a partition that does not know the producer
	// then has forgotten it.
	if err := a.config.Registry.Remember(ctx, identity, ids); err != nil {
		return nil, err
	}
	return protocol.ProducerInitResponse{
		ProducerID: identity.ProducerID, ProducerEpoch: identity.ProducerEpoch, Positions: positions,
	}, nil
}

// checkInit says what is wrong with the init of a named producer, or nil.
func checkInit(request *protocol.ProducerInitRequest) error {
	switch {
	case len(request.Topics) == 0:
		return protocol.NewError(protocol.CodeInvalidRequest, "a producer with a name must name its topics: elsewhere nothing is fenced")
	case len(request.Instance) > protocol.MaxInstance:
		return protocol.Errorf(protocol.CodeInvalidRequest, "the instance has %d bytes, allowed are %d", len(request.Instance), protocol.MaxInstance)
	}
	return protocol.CheckProducerName(request.Name)
}

// initTopics returns the topics of these names.
func (a *API) initTopics(ctx context.Context, names []string) ([]protocol.Topic, error) {
	if len(names) > protocol.MaxInitTopics {
		return nil, protocol.Errorf(protocol.CodeInvalidRequest, "%d topics, allowed are %d", len(names), protocol.MaxInitTopics)
	}
	var topics []protocol.Topic
	for _, name := range slices.Compact(slices.Sorted(slices.Values(names))) {
		topic, err := a.config.Topics.Get(ctx, name)
		if err != nil {
			return nil, err
		}
		topics = append(topics, topic)
	}
	return topics, nil
}

// fencePartitions fences all partitions of topics, and returns how far the
// producer came in each.
func (a *API) fencePartitions(ctx context.Context, topics []protocol.Topic, identity *producerregistry.Identity) ([]protocol.ProducerPosition, error) {
	var partitions []protocol.Partition
	for _, topic := range topics {
		for n := range topic.Partitions {
			partitions = append(partitions, topic.Partition(n))
		}
	}
	positions := make([]protocol.ProducerPosition, len(partitions))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(asksAtOnce)
	for i, p := range partitions {
		group.Go(func() (err error) {
			positions[i], err = a.fencePartition(ctx, p, identity)
			return err
		})
	}
	return positions, group.Wait()
}

// epochTaken is the error of a fence below an epoch that the partition knows.
type epochTaken struct {
	partition protocol.Partition
	epoch     int16
}

func (e *epochTaken) Error() string {
	return fmt.Sprintf("partition %s knows epoch %d", e.partition, e.epoch)
}

// fencePartition fences a partition. One that knows the name by another id fences that
// id for good, and tells where it ended: there the new one continues. A partition that
// has been fenced for an earlier instance and knows nothing of the producer has
// forgotten how far it came. It stays as it is, so that whoever asks next is told the
// same.
func (a *API) fencePartition(ctx context.Context, p protocol.Partition, identity *producerregistry.Identity) (protocol.ProducerPosition, error) {
	position := protocol.ProducerPosition{Topic: p.Topic, Partition: p.Number}
	fenced, err := ask(ctx, a, &a.fences, fenceKey{p, identity.ProducerID, identity.ProducerEpoch},
		messages.FenceProducer{
			Partition: p, Epoch: a.config.Epoch(), Fence: identity.ProducerFence, IfKnown: slices.Contains(identity.Seen, p.TopicID),
		})
	if err != nil {
		return position, err
	}
	switch fenced.Code {
	case protocol.CodeOK:
		if fenced.Producer.HasLast {
			position.LastSequence = &fenced.Producer.Last
		}
		return position, nil
	case protocol.CodePositionExpired:
		position.Expired = true
		return position, nil
	case protocol.CodeInvalidEpoch:
		return position, &epochTaken{p, fenced.Producer.ProducerEpoch}
	}
	return position, protocol.Errorf(fenced.Code, "partition %s, producer %q", p, identity.Name)
}

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
	topic, err := a.config.Topics.Get(ctx, request.Topic)
	if err != nil {
		return nil, err
	}
	if request.Partition < 0 || int(request.Partition) >= topic.Partitions {
		return nil, protocol.Errorf(protocol.CodeUnknownTopic, "%s has the partitions 0 to %d, not %d",
			topic.Name, topic.Partitions-1, request.Partition)
	}
	known, err := a.askProducers(ctx, messages.ListProducers{
		Partition: topic.Partition(int(request.Partition)), After: request.After, Limit: uint32(request.Limit),
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

// producerInfo tells what the partitions of a topic remember of one producer.
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

func (a *API) askProducers(ctx context.Context, question messages.ListProducers) (messages.Producers, error) {
	question.Epoch, question.Request = a.config.Epoch(), a.questions.Add(1)
	return ask(ctx, a, &a.lists, question.Request, question)
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

// Receive takes what replicators answer to requests of the API. It reports
// false for any other message.
func (a *API) Receive(m messages.Message) bool {
	switch m := m.(type) {
	case messages.ProducerFenced:
		a.fences.answer(fenceKey{m.Partition, m.Producer.ProducerID, m.Fence}, m)
	case messages.Producers:
		a.lists.answer(m.Request, m)
	default:
		return false
	}
	return true
}
