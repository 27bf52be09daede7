package core

import (
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// batchMemory is the memory that a batch takes beside its payload and its strings, in bytes.
const batchMemory = 256

// Batch is a batch that a stager has received. Its payload aliases the message that
// contained it.
type Batch struct {
	messages.StageBatch
	Partition protocol.Partition
	Epoch     uint64               // of the frontend that issued the ticket
	Codec     protocol.Compression // with which the payload is compressed; empty if it is stored as it is
	Arrived   time.Time
	Deadline  time.Time // after which it must not be uploaded
}

// sender is the partition and the frontend epoch that a batch was received from.
type sender struct {
	partition protocol.Partition
	epoch     uint64
}

func (b *Batch) sender() sender { return sender{b.Partition, b.Epoch} }

// lane is the lane of a batch.
type lane struct {
	sender
	name string
}

func laneOf(b *Batch) lane { return lane{b.sender(), b.Lane} }

// memory returns the bytes that the batch counts against the stager's memory limit. They
// include the strings, because a client may send long ones with a short payload. A payload that
// is to be compressed counts twice: its block is in memory beside it while it is uploaded.
func (b *Batch) memory() int64 {
	names := len(b.Lane) + len(b.MessageID) + len(b.Expect.MessageID) + len(b.Trace.Parent) + len(b.Trace.State)
	payload := len(b.Payload)
	if b.Codec != "" {
		payload *= 2
	}
	return int64(payload+names) + batchMemory
}

// codecOf returns the codec with which a batch is compressed; empty if it is not. A frame that
// its producer has compressed stays as it is.
func codecOf(m *messages.Stage, b *messages.StageBatch) protocol.Compression {
	if b.MaxRecordBytes > 0 || len(b.Payload) == 0 {
		return ""
	}
	return m.Codec
}

// Object is a group of batches that are uploaded together.
type Object struct {
	Batches []Batch
	Bytes   int64 // of the payloads
}

// Deadline returns the latest deadline of the batches.
func (o *Object) Deadline() time.Time {
	var latest time.Time
	for i := range o.Batches {
		if d := o.Batches[i].Deadline; d.After(latest) {
			latest = d
		}
	}
	return latest
}

// drop removes the batches for which unwanted returns true.
func (o *Object) drop(unwanted func(*Batch) bool) {
	kept := o.Batches[:0]
	for i := range o.Batches {
		b := &o.Batches[i]
		if unwanted(b) {
			o.Bytes -= int64(len(b.Payload))
			continue
		}
		kept = append(kept, *b)
	}
	clear(o.Batches[len(kept):])
	o.Batches = kept
}
