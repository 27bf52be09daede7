package client

import (
	"context"
	"crypto/rand"

	"laneway.dev/pkg/protocol"
)

// identity is what Laneway knows a producer by.
type identity struct {
	id    int64
	epoch int16
	next  []int32 // by target: the sequence of the first record
}

// identify gets the identity of a new producer, or the next one of a named
// producer, which fences the instance before.
func (c *Client) identify(ctx context.Context, name string, topic protocol.Topic, targets []protocol.Partition) (identity, error) {
	var request protocol.ProducerInitRequest
	if name != "" {
		if err := protocol.CheckProducerName(name); err != nil {
			return identity{}, err
		}
		// A request that was given up may still be served: it is not to fence this instance.
		request = protocol.ProducerInitRequest{Name: name, Topics: []string{topic.Name}, Instance: rand.Text()}
	}
	var response protocol.ProducerInitResponse
	err := c.insist(ctx, func(ctx context.Context) error {
		response = protocol.ProducerInitResponse{}
		return c.call(ctx, protocol.ProducerAPI+"init", request, &response)
	})
	if err != nil {
		return identity{}, err
	}
	if response.ProducerID <= 0 {
		return identity{}, protocol.Errorf(protocol.CodeInternal, "%sinit gave the id %d", protocol.ProducerAPI, response.ProducerID)
	}
	who := identity{id: response.ProducerID, epoch: response.ProducerEpoch, next: make([]int32, len(targets))}
	if name == "" {
		return who, nil
	}
	for i, target := range targets {
		if who.next[i], err = resume(response.Positions, target); err != nil {
			return identity{}, err
		}
	}
	return who, nil
}

// resume returns the sequence with which a named producer goes on in a partition.
func resume(positions []protocol.ProducerPosition, target protocol.Partition) (int32, error) {
	for _, p := range positions {
		if p.Topic != target.Topic || p.Partition != target.Number {
			continue
		}
		if p.Expired {
			return 0, protocol.Errorf(protocol.CodePositionExpired, "%s/%d", target.Topic, target.Number)
		}
		return p.NextSequence(), nil
	}
	return 0, protocol.Errorf(protocol.CodeInternal, "%sinit gave no position for %s/%d", protocol.ProducerAPI, target.Topic, target.Number)
}
