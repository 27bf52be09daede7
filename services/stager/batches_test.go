package stager

import (
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

var (
	orders0 = protocol.Partition{Topic: "orders", TopicID: 77, Number: 0}
	orders1 = protocol.Partition{Topic: "orders", TopicID: 77, Number: 1}
	bills0  = protocol.Partition{Topic: "bills", TopicID: 78, Number: 0}
)

// epoch is that of the frontend whose batches are staged.
const epoch = 10

// batch returns a batch of a lane with size payload bytes and 30 s left.
func batch(lane string, number uint64, size int) messages.StageBatch {
	payload := make([]byte, size)
	for i := range payload {
		payload[i] = byte(number) + byte(i)
	}
	return messages.StageBatch{
		Submission: messages.Submission{Batch: messages.Batch{Ticket: messages.Ticket{Lane: lane, Number: number}, Floor: 1, Records: 1}},
		Attempt:    1,
		Remaining:  30_000,
		Payload:    payload,
	}
}

func stage(of protocol.Partition, batches ...messages.StageBatch) messages.Stage {
	return messages.Stage{Partition: of, Epoch: epoch, Batches: batches}
}
