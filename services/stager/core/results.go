package core

import (
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// inventory counts the batches that are not answered. Every batch that is admitted leaves
// it exactly once, as staged or as refused.
type inventory struct {
	limit int64 // of bytes
	bytes int64 // memory of the batches
}

// admit reports whether there is memory for a batch, and counts the batch if there is.
func (i *inventory) admit(b *Batch) bool {
	if i.bytes+b.memory() > i.limit {
		return false
	}
	i.bytes += b.memory()
	return true
}

// staged returns the result of a batch that is durable. The result has the ticket that the
// frontend issued. A ticket issued here would follow the order in which uploads finish, and
// could reverse batches of one lane.
func (i *inventory) staged(b *Batch, extent messages.Extent) messages.StagedBatch {
	i.bytes -= b.memory()
	return messages.StagedBatch{Submission: b.Submission, Extent: extent}
}

// inlined returns the result of a batch that is not uploaded. The append to the log will make it
// durable.
func inlined(b *Batch) messages.StagedBatch {
	return messages.StagedBatch{Submission: b.Submission, Extent: messages.InlineExtent(b.Payload), Inline: b.Payload}
}

// refused returns the result of a batch that is not durable, for this reason.
func (i *inventory) refused(b *Batch, reason *protocol.Error) messages.Refusal {
	i.bytes -= b.memory()
	return refusal(b, reason)
}
