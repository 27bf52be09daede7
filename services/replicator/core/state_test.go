package core_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"laneway.dev/pkg/messages"
	"laneway.dev/services/replicator/core"
)

func TestStateOfEntriesIsThatOfAnOwner(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	batch := func(number uint64, first int32, id string) messages.Placeholder {
		b := messages.Placeholder{Batch: messages.Batch{Ticket: messages.Ticket{Lane: "a", Number: number}, Floor: number, Records: 2, MessageID: id}}
		if id == "" {
			b.Sequence = messages.Sequence{ProducerID: 4711, ProducerEpoch: 1, First: first}
		}
		return b
	}
	at := func(sequence uint64, base int64, n messages.Entry) *messages.LoggedEntry {
		n.TopicID, n.BaseOffset, n.Time = orders.TopicID, base, now.UnixNano()+int64(sequence)
		return &messages.LoggedEntry{Sequence: sequence, Entry: n}
	}
	entries := []*messages.LoggedEntry{
		at(1, 0, messages.Entry{Created: true}),
		at(2, 0, messages.Entry{Owner: "first", OwnerEpoch: 3}),
		at(3, 0, messages.Entry{Epoch: 5, SequencerEpoch: 6, Batches: []messages.Placeholder{batch(1, 0, ""), batch(2, 0, "once")}}),
		at(4, 4, messages.Entry{Owner: "second", OwnerEpoch: 4}),
		at(5, 4, messages.Entry{Epoch: 5, SequencerEpoch: 6, Batches: []messages.Placeholder{batch(3, 2, "")}, Fences: []messages.LoggedFence{
			{ProducerFence: messages.ProducerFence{ProducerID: 4712, ProducerEpoch: 2, Name: "importer"}},
		}}),
	}
	settings := core.DefaultSettings("repair")
	whole := core.NewState(orders, settings, now, nil)
	for _, e := range entries {
		whole.Apply(e)
	}
	want := whole.Snapshot()
	if want.Owner != "second" || want.OwnerEpoch != 4 || want.Sequence != 5 || want.NextOffset != 6 || len(want.Producers) != 2 || len(want.MessageIDs) != 1 ||
		want.FrontendEpoch != 5 || want.SequencerEpoch != 6 {
		t.Fatalf("the state is %+v", want)
	}
	half := core.NewState(orders, settings, now, nil)
	for _, e := range entries[:3] {
		half.Apply(e)
	}
	saved := half.Snapshot()
	rest := core.NewState(orders, settings, now, &saved)
	for _, e := range entries[3:] {
		rest.Apply(e)
	}
	if diff := cmp.Diff(want, rest.Snapshot()); diff != "" {
		t.Errorf("from a snapshot (+), from the beginning (-):\n%s", diff)
	}
}
