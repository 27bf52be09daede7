package core

import (
	"testing"

	"laneway.dev/pkg/messages"
)

func TestAHandOverPassesOnWhatIsNotResolved(t *testing.T) {
	r := newRig(t)
	inline := batch("b", 4, 4)
	inline.Inline = []byte("payload")
	r.step(staged(batch("a", 1, 1), batch("a", 2, 1), batch("a", 5, 1), batch("a", 4, 1), inline))
	r.step(advance(progress("a", 2, 5)))
	got := r.step(HandOver{}).messages(messages.SequencerSubject(partition0))
	want(t, "passed on", got, []messages.Message{staged(batch("a", 2, 2), batch("a", 4, 2), batch("a", 5, 2), inline)})

	next := newRig(t)
	want(t, "released by the next owner", next.step(got[0]).releases(), []string{"a:2", "b:4"})
	want(t, "released later", next.step(staged(batch("a", 3, 2))).releases(), []string{"a:3", "a:4", "a:5"})
}

func TestAHandOverFitsIntoMessages(t *testing.T) {
	r := newRig(t)
	const payload = handOverBytes/2 - 1
	for n := uint64(1); n <= 5; n++ {
		b := batch("a", n, 1)
		b.Inline = make([]byte, payload)
		r.step(staged(b))
	}
	var sizes []int
	for _, m := range r.step(HandOver{}).messages(messages.SequencerSubject(partition0)) {
		sizes = append(sizes, len(m.(messages.Staged).Batches))
	}
	want(t, "batches in each message", sizes, []int{2, 2, 1})
}

func TestAHandOverOfAnIdleLogIsSilent(t *testing.T) {
	r := newRig(t)
	r.silent("the hand-over", r.step(HandOver{}))
}
