package core

import (
	"testing"

	"laneway.dev/pkg/messages"
)

func keyed(b messages.StagedBatch, key string) messages.StagedBatch {
	b.Extent.Key = key
	return b
}

func outdated(lane string, number uint64, key string) messages.Outdated {
	return messages.Outdated{Partition: partition0, Epoch: frontend, Results: []messages.OutdatedResult{{
		Ticket: messages.Ticket{Lane: lane, Number: number}, Key: key,
	}}}
}

func TestRefusedResultIsReplaced(t *testing.T) {
	r := newRig(t)
	r.step(staged(keyed(batch("a", 1, 1), "old"), batch("a", 2, 1), batch("b", 1, 1)))
	got := r.step(outdated("a", 1, "old"))
	want(t, "missing at once", got.toFrontend(frontend), missing("a", 1))
	want(t, "the old result, late", r.step(staged(keyed(batch("a", 1, 1), "old"))).releases(), nil)
	r.silent("the refusal again", r.step(outdated("a", 1, "old")))
	want(t, "to a new owner", r.step(hello(31)).releases(), []string{"b:1"})
	got = r.step(staged(keyed(batch("a", 1, 1), "new")))
	want(t, "the new result", got.releases(), []string{"a:1", "a:2"})
	sent := got.messages(messages.ReplicatorSubject(partition0))[0].(messages.Release).Batches[0]
	want(t, "its key", sent.Extent.Key, "new")
	r.silent("a late refusal of the old one", r.step(outdated("a", 1, "old")))
}

func TestRefusalsOfOtherEpochsAndTicketsAreIgnored(t *testing.T) {
	r := newRig(t)
	r.step(staged(keyed(batch("a", 2, 2), "old"), keyed(batch("a", 4, 2), "early")))
	stale := outdated("a", 2, "old")
	stale.Epoch--
	r.silent("of an older frontend", r.step(stale))
	r.silent("of a resolved ticket", r.step(outdated("a", 1, "old")))
	r.silent("of an unknown lane", r.step(outdated("c", 1, "old")))
	r.silent("of another object", r.step(outdated("a", 2, "other")))
	want(t, "of a result that waits", r.step(outdated("a", 4, "early")).toFrontend(frontend), missing("a", 4))
}
