package core

import (
	"bytes"
	"testing"

	"laneway.dev/pkg/messages"
)

// inlineBatch returns a batch of lane a whose payload has so many bytes.
func inlineBatch(number uint64, size int) messages.StagedBatch {
	b := batch("a", number, 1)
	b.Inline = bytes.Repeat([]byte{byte(number)}, size)
	b.Extent = messages.InlineExtent(b.Inline)
	return b
}

// payloads returns which of the released batches have their payloads.
func (s sent) payloads() (list []bool) {
	for _, m := range s.messages(messages.ReplicatorSubject(partition0)) {
		for _, b := range m.(messages.Release).Batches {
			list = append(list, len(b.Inline) > 0 && !b.Withheld)
		}
	}
	return list
}

func TestRepeatedReleasesWithholdPayloads(t *testing.T) {
	r := newRig(t)
	first := r.step(staged(inlineBatch(1, 100), inlineBatch(2, 100)))
	want(t, "payloads of first releases", first.payloads(), []bool{true, true})
	r.wait(heartbeat)
	again := r.step(advance(progress("a", 1, 2)))
	want(t, "repeated", again.releases(), []string{"a:1", "a:2"})
	want(t, "payloads of repeated ones", again.payloads(), []bool{false, false})
	want(t, "payload of one that is staged again", r.step(staged(inlineBatch(1, 100))).payloads(), []bool{false})
	want(t, "payloads that are asked for", r.step(releaseAgain(frontend, "a", 2)).payloads(), []bool{true})
	want(t, "payloads for a new owner", r.step(hello(7)).payloads(), []bool{true, true})
}

func TestPayloadsBeyondTheMemoryAreMissing(t *testing.T) {
	r := newRig(t)
	half := inlineBytes / 2
	want(t, "released", r.step(staged(inlineBatch(1, half), inlineBatch(2, half), inlineBatch(3, 1))).releases(), []string{"a:1", "a:2"})
	want(t, "dropped", r.core.Stats().Dropped, uint64(1))
	want(t, "missing", r.step(advance(progress("a", 1, 3))).toFrontend(frontend), missing("a", 3))
	want(t, "staged in an object", r.step(staged(batch("a", 3, 1))).releases(), []string{"a:3"})
	r.wait(heartbeat)
	r.step(advance(progress("a", 3, 3))) // resolves two
	want(t, "released when there is room", r.step(staged(inlineBatch(4, half))).releases(), []string{"a:4"})
}

func TestHeldPayloadsDoNotKeepTheirMessage(t *testing.T) {
	r := newRig(t)
	b := inlineBatch(1, 100)
	message := b.Inline
	r.step(staged(b))
	clear(message)
	again := r.step(hello(1))
	for _, m := range again.messages(messages.ReplicatorSubject(partition0)) {
		want(t, "payload", m.(messages.Release).Batches[0].Inline[0], byte(1))
	}
}
