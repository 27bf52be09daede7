package client

import (
	"context"
	"time"

	"laneway.dev/pkg/protocol"
)

// truncateTimeout bounds a truncation whose context has no deadline. It waits for archivers.
const truncateTimeout = 2 * time.Minute

// TruncateTopic drops the records of a partition below an offset, which cannot be undone. It returns the
// log start offset when they can no longer be read. The offset may be that after the last record, which
// drops all. If they are dropped already, nothing happens.
//
// Records that are not archived yet are archived first. The request is repeated for up to two minutes
// if the context has no deadline. An error that is not a refusal leaves open whether the records are
// dropped; another call finds out. The owner of the log keeps a request that it has received, and drops
// the records when they are archived, unless it ends before. A request cannot be withdrawn.
func (a *Admin) TruncateTopic(ctx context.Context, topic string, partition int32, before int64) (start int64, err error) {
	request := protocol.TopicTruncateRequest{Name: topic, Partition: partition, Before: before}
	var response protocol.TopicTruncateResponse
	err = a.client.repeat(ctx, truncateTimeout, apiTimeout, func(ctx context.Context) error {
		return a.client.call(ctx, protocol.TopicAPI+"truncate", request, &response)
	})
	return response.StartOffset, err
}

// maxAhead is how far a time may be ahead of the local clock, because the clock of the replicator that
// gave the records their times may be ahead.
const maxAhead = time.Minute

// OffsetAt returns the offset of the first record of a partition that was committed at or after a
// time. If there is none, it is the offset after the last record. A time more than a minute in the
// future is INVALID_REQUEST: TruncateTopic would drop all records at the offset of a mistyped time.
func (a *Admin) OffsetAt(ctx context.Context, topic string, partition int32, at time.Time) (int64, error) {
	if now := time.Now(); at.After(now.Add(maxAhead)) {
		return 0, protocol.Errorf(protocol.CodeInvalidRequest, "%s is in the future: it is %s now; use the end offset of the partition if you mean all its records",
			at.Format(time.RFC3339), now.In(at.Location()).Format(time.RFC3339))
	}
	found, partitions, err := a.TopicInfo(ctx, topic)
	switch {
	case err != nil:
		return 0, err
	case partition < 0 || int(partition) >= len(partitions):
		return 0, protocol.Errorf(protocol.CodeUnknownTopic, "%s has the partitions 0 to %d, not %d", topic, found.Partitions-1, partition)
	}
	options := ConsumerOptions{Topic: topic, Partition: &partition, Time: &at, MaxRecords: 1}
	for r, err := range a.client.Consumer(options).Records(ctx) {
		return r.Offset, err
	}
	return partitions[partition].EndOffset, nil
}
