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
// all messages that wait, including this one. A message that waits alone always fits; the
// core then admits or refuses each of its batches.
func (s Settings) Fits(queued, size int64) bool { return queued <= max(s.MemoryBytes, size) }

// TurnAway refuses all batches of a message that is not passed to the core. The frontend
// receives the refusals at once, so that it can have the batches staged by another stager.
func (s Settings) TurnAway(m *messages.Stage) messages.Envelope {
	refusals := make([]messages.Refusal, len(m.Batches))
	for i := range m.Batches {
		refusals[i] = refusal(&Batch{StageBatch: m.Batches[i]}, errBacklog)
	}
	return s.refusedEnvelope(sender{m.Partition, m.Epoch}, refusals)
}
