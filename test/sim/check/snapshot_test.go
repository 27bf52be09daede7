package check

import (
	"testing"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

func TestSnapshotMayHaveForgottenTheNameOfAProducer(t *testing.T) {
	partition := protocol.Partition{Topic: "orders", TopicID: 7}
	batch := messages.Placeholder{Batch: messages.Batch{
		Ticket: messages.Ticket{Lane: "i:3", Number: 1}, Records: 1, Sequence: messages.Sequence{ProducerID: 3},
	}}
	log := []messages.LoggedEntry{
		{Sequence: 1, Entry: messages.Entry{TopicID: 7, Created: true, Time: 1}},
		{Sequence: 2, Entry: messages.Entry{TopicID: 7, Owner: "a", OwnerEpoch: 1, Time: 2}},
		{Sequence: 3, Entry: messages.Entry{TopicID: 7, Epoch: 1, SequencerEpoch: 1, Time: 3, Fences: []messages.LoggedFence{
			{ProducerFence: messages.ProducerFence{ProducerID: 3, Name: "feed"}},
		}}},
		{Sequence: 4, Entry: messages.Entry{TopicID: 7, Epoch: 1, SequencerEpoch: 1, Time: 4, Batches: []messages.Placeholder{batch}}},
	}
	kept := replay(partition, log)
	kept.Sequence = 4 // without the term record that followed
	if len(kept.Producers) != 1 || kept.Producers[0].Name != "feed" {
		t.Fatalf("the log has the producers %+v", kept.Producers)
	}
	kept.Producers[0].Name = ""
	if err := Snapshot(partition, kept, log, true); err != nil {
		t.Error(err)
	}
	if err := Snapshot(partition, kept, log, false); err == nil {
		t.Error("an owner that forgets nothing has lost the name")
	}
	kept.Producers[0].Name = "other"
	if err := Snapshot(partition, kept, log, true); err == nil {
		t.Error("an owner has confused two names")
	}
}
