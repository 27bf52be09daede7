package describe

import (
	"testing"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

func TestMessagesAreSaidInWords(t *testing.T) {
	batches := func(of ...messages.Placeholder) []messages.StagedBatch {
		var all []messages.StagedBatch
		for _, p := range of {
			all = append(all, messages.StagedBatch{Submission: messages.Submission{Batch: p.Batch}, Extent: p.Extent})
		}
		return all
	}
	fence := messages.ProducerFence{ProducerID: 3, ProducerEpoch: 1, Name: "a"}
	for _, c := range []struct {
		message messages.Message
		want    string
	}{
		{messages.Stage{Epoch: 7, Batches: []messages.StageBatch{{Submission: messages.Submission{Batch: messages.Batch{Ticket: messages.Ticket{Lane: "i:2", Number: 5}, Floor: 4}}}}}, "Stage, frontend epoch 7: i:2 ticket 5 (floor 4)"},
		{
			messages.Holding{Epoch: 7, Stager: "stager-3", Held: []messages.Held{{Ticket: messages.Ticket{Lane: "i:2", Number: 5}, Attempt: 1}}},
			"Holding, frontend epoch 7: stager-3 holds i:2 ticket 5, attempt 1",
		},
		{
			messages.Refused{Epoch: 7, Refusals: []messages.Refusal{{Ticket: messages.Ticket{Lane: "i:2", Number: 5}, Attempt: 1, Code: protocol.CodeStoreUnavailable, Detail: "full"}}},
			"Refused, frontend epoch 7: i:2 ticket 5, attempt 1: STORE_UNAVAILABLE (full)",
		},
		{
			messages.Staged{Epoch: 7, Batches: batches(
				messages.Placeholder{Batch: messages.Batch{Ticket: messages.Ticket{Lane: "i:2", Number: 5}, Floor: 4}}, messages.Placeholder{Batch: messages.Batch{Ticket: messages.Ticket{Lane: "i:2", Number: 6}, Floor: 4}},
				messages.Placeholder{Batch: messages.Batch{Ticket: messages.Ticket{Lane: "i:2", Number: 7}, Floor: 5}}, messages.Placeholder{Batch: messages.Batch{Ticket: messages.Ticket{Lane: "p:x", Number: 1}, Floor: 1}})},
			"Staged, frontend epoch 7: i:2 ticket 5, 6 (floor 4); i:2 ticket 7 (floor 5); p:x ticket 1 (floor 1)",
		},
		{messages.Announce{Epoch: 7}, "Announce of frontend epoch 7"},
		{messages.Announced{Epoch: 7}, "Announced: frontend epoch 7 is known"},
		{messages.Advance{Epoch: 7, Lanes: []messages.LaneProgress{{Lane: "i:2", Floor: 4, Highest: 6}}}, "Advance, frontend epoch 7: i:2 floor 4, issued up to 6"},
		{messages.Outdated{Epoch: 7, Results: []messages.OutdatedResult{{Ticket: messages.Ticket{Lane: "i:2", Number: 4}, Key: "o/1"}}}, "Outdated, frontend epoch 7: i:2 ticket 4 in object o/1"},
		{messages.Missing{Epoch: 7, Lanes: []messages.LaneNumbers{{Lane: "i:2", Numbers: []uint64{4, 6}}}}, "Missing, frontend epoch 7: i:2 ticket 4, 6"},
		{messages.Fenced{Epoch: 7}, "Fenced: there is epoch 7"},
		{messages.Release{Epoch: 7, SequencerEpoch: 8, HelloTerm: 9}, "Release, frontend epoch 7, sequencer epoch 8, answers the Hello of term 9"},
		{
			messages.Release{Epoch: 7, SequencerEpoch: 8, Batches: batches(messages.Placeholder{Batch: messages.Batch{Ticket: messages.Ticket{Lane: "i:2", Number: 5}, Floor: 4}})},
			"Release, frontend epoch 7, sequencer epoch 8: i:2 ticket 5 (floor 4)",
		},
		{messages.ReleaseAgain{Epoch: 7, Lanes: []messages.LaneNumbers{{Lane: "i:2", Numbers: []uint64{4}}}}, "ReleaseAgain, frontend epoch 7: i:2 ticket 4 and what follows"},
		{messages.Hello{Term: 9}, "Hello of the log's owner, term 9"},
		{
			messages.Outcomes{Epoch: 7, Outcomes: []messages.Outcome{
				{Ticket: messages.Ticket{Lane: "i:2", Number: 5}, Offset: 30},
				{Ticket: messages.Ticket{Lane: "i:2", Number: 6}, Offset: 20, Duplicate: true},
				{Ticket: messages.Ticket{Lane: "i:2", Number: 7}, Code: protocol.CodeNotCommitted, Detail: "why"},
			}},
			"Outcomes, frontend epoch 7: i:2 ticket 5 is at offset 30; i:2 ticket 6 is a duplicate of offset 20; i:2 ticket 7 NOT_COMMITTED (why)",
		},
		{messages.Committed{Sequence: 3}, "Committed: entry 3"},
		{messages.Congested{Reason: "full"}, "Congested: full"},
		{
			messages.Archive{Base: messages.History{Manifest: "m/1", End: messages.Position{Sequence: 9}}, To: messages.Position{Sequence: 12}, GiveUp: true},
			"Archive: entries 10 to 12, after manifest m/1, giving up what cannot be read",
		},
		{messages.Archive{To: messages.Position{Sequence: 12}}, "Archive: entries 1 to 12, after no manifest"},
		{
			messages.Archive{To: messages.Position{Sequence: 12}, Kept: messages.Kept{Age: time.Hour, Bytes: 500}},
			"Archive: entries 1 to 12, after no manifest; merged segments are bounded for a retention of 1h0m0s and 500 bytes",
		},
		{messages.Archiving{Base: "m/1"}, "Archiving: entries after manifest m/1"},
		{
			messages.Archived{Base: "m/1", History: messages.History{Manifest: "m/2", End: messages.Position{Sequence: 12}}, Records: 5, Damaged: 2, Missing: 1},
			"Archived: manifest m/2 goes up to entry 12, after manifest m/1; records: 5, damaged: 2, missing: 1",
		},
		{messages.ArchiveFailed{Base: "", Reason: "why"}, "ArchiveFailed: entries after no manifest: why"},
		{messages.Truncate{Asker: 7, Request: 2, Before: 9}, "Truncate, asker 7: request 2, before offset 9"},
		{
			messages.Truncated{Asker: 7, Request: 2, Start: 4, Code: protocol.CodeInvalidRequest, Detail: "why"},
			"Truncated, asker 7: request 2, the log starts at offset 4: INVALID_REQUEST (why)",
		},
		{messages.FenceProducer{Asker: 7, Fence: fence, IfKnown: true}, `FenceProducer, asker 7: producer 3, epoch 1, name "a", if it is known`},
		{
			messages.ProducerFenced{Asker: 7, Fence: 1, Producer: messages.KnownProducer{ProducerFence: fence, HasLast: true, Last: 12}},
			`ProducerFenced, asker 7: epoch 1 was asked for; producer 3, epoch 1, name "a", last sequence 12`,
		},
		{messages.ListProducers{Asker: 7, Request: 2}, "ListProducers, asker 7: request 2"},
		{
			messages.Producers{Asker: 7, Request: 2, Producers: []messages.KnownProducer{{ProducerFence: fence}}},
			`Producers, asker 7: request 2: producer 3, epoch 1, name "a", without a batch`,
		},
	} {
		if got := Message(c.message); got != c.want {
			t.Errorf("%T is\n%s, want\n%s", c.message, got, c.want)
		}
	}
}

func TestEntriesAreSaidInWords(t *testing.T) {
	batch := messages.Placeholder{Batch: messages.Batch{Ticket: messages.Ticket{Lane: "i:2", Number: 5}, Floor: 4, Records: 3}}
	for want, e := range map[string]messages.Entry{
		"term record of me, epoch 7":       {Owner: "me", OwnerEpoch: 7},
		"barrier":                          {},
		"barrier; archived up to entry 12": {History: messages.History{Manifest: "m/2", End: messages.Position{Sequence: 12}}},
		"offsets 10 to 12, frontend epoch 7, sequencer epoch 8: i:2 ticket 5 (floor 4)": {
			Epoch: 7, SequencerEpoch: 8, BaseOffset: 10, Batches: []messages.Placeholder{batch},
		},
		"fences producer 3, epoch 1; refused forever p:x ticket 1, 2": {
			Fences:  []messages.LoggedFence{{ProducerFence: messages.ProducerFence{ProducerID: 3, ProducerEpoch: 1}}},
			Refused: []messages.LaneNumbers{{Lane: "p:x", Numbers: []uint64{1, 2}}},
		},
	} {
		if got := Entry(&e); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
