package core_test

import (
	"bytes"
	"testing"

	"laneway.dev/pkg/messages"
)

// inline returns a batch whose payload has so many bytes.
func inline(b messages.StagedBatch, size int) messages.StagedBatch {
	b.Inline = bytes.Repeat([]byte{byte(b.Number)}, size)
	b.Extent = messages.InlineExtent(b.Inline)
	return b
}

func withheld(b messages.StagedBatch) messages.StagedBatch {
	b.Inline, b.Withheld = nil, true
	return b
}

func TestInlinePayloadStandsInTheEntry(t *testing.T) {
	_, o := newLeader(t)
	b := inline(batch("a", 1), 100)
	o.step(release(b, batch("b", 1)))
	entry, err := messages.DecodeEntry(o.append.Data)
	if err != nil {
		t.Fatal(err)
	}
	if got := entry.Batches; len(got) != 2 || !bytes.Equal(got[0].Inline, b.Inline) || got[0].Extent != b.Extent || got[1].IsInline() {
		t.Errorf("the entry has %+v", got)
	}
	o.settle()
}

func TestInlinePayloadsCountAgainstTheEntry(t *testing.T) {
	w := newWorld(t)
	w.settings.EntryBytes = 4000
	o := w.leader("first")
	var all []messages.StagedBatch
	for _, b := range batches("a", 1, 5) {
		all = append(all, inline(b, 1500))
	}
	o.step(release(append(all, inline(floored(batch("a", 6), 1), 9000), floored(batch("a", 7), 1))...))
	for o.append != nil {
		o.ack()
	}
	w.expectSizes(2, 2, 1, 1, 1) // the sixth alone is larger than an entry
	w.end()
}

func TestWithheldPayloadIsAskedFor(t *testing.T) {
	w, o := newLeader(t)
	o.commit(batch("a", 1))
	o.take()
	b := inline(floored(batch("a", 2), 1), 100)
	o.step(release(withheld(b)))
	if o.append != nil {
		t.Fatal("a batch without its payload is appended")
	}
	expectAsked(t, o, "a", 2)
	o.commit(b)
	w.expectNumbers("a", 1, 2)
}

func TestWithheldPayloadOfAKnownBatchIsNotAskedFor(t *testing.T) {
	w, o := newLeader(t)
	b := inline(floored(batch("a", 1), 1), 100)
	o.step(release(b))
	o.step(release(withheld(b))) // in flight
	o.settle()
	o.take()
	o.step(release(withheld(b))) // committed
	if got := asked(o); len(got) > 0 {
		t.Errorf("the sequencer is asked for %+v", got)
	}
	w.expectNumbers("a", 1)
}
