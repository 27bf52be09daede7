package core

import (
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

var errBacklog = protocol.NewError(protocol.CodeStagerBusy, "too many batches wait to be admitted")

// PayloadBytes returns the size of all payloads of a message.
func PayloadBytes(m *messages.Stage) int64 {
	var sum int64
	for i := range m.Batches {
		sum += int64(len(m.Batches[i].Payload))
	}
	return sum
}

// Fits reports whether a message of this size may wait for the core. queued is the size of
// all messages that wait, this one included. A message that is alone may wait whatever its
// size: the core then decides batch by batch.
func (s Settings) Fits(queued, size int64) bool { return queued <= max(s.MemoryBytes, size) }

// TurnAway refuses all batches of a message that may not wait for the core. Its frontend is
// answered at once, so that it can ask again.
func TurnAway(m *messages.Stage) messages.Envelope {
	refusals := make([]messages.Refusal, len(m.Batches))
	for i := range m.Batches {
		refusals[i] = refusal(&Batch{StageBatch: m.Batches[i]}, errBacklog)
	}
	return refusedEnvelope(sender{m.Partition, m.Epoch}, refusals)
}
