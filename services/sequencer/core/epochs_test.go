package core

import (
	"testing"

	"laneway.dev/pkg/messages"
)

func fenced(highest uint64) []messages.Message {
	return []messages.Message{messages.Fenced{Partition: partition0, Epoch: highest}}
}

func announced(epoch uint64) []messages.Message {
	return []messages.Message{messages.Announced{Partition: partition0, Epoch: epoch}}
}

func TestAnnounceIsAnsweredEveryTime(t *testing.T) {
	r := newRig(t)
	for range 2 {
		got := r.step(announce(frontend))
		want(t, "sent", sent{{Subject: messages.FrontendSubject(partition0, frontend), Message: announced(frontend)[0]}}, got)
	}
}

func TestOlderFrontendIsFencedByWhateverItSends(t *testing.T) {
	for name, m := range map[string]messages.Message{
		"staged":   stagedBy(frontend-1, batch("a", 1, 1)),
		"advance":  messages.Advance{Partition: partition0, Epoch: frontend - 1, Lanes: []messages.LaneProgress{progress("a", 1, 2)}},
		"announce": announce(frontend - 1),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.step(announce(frontend))
			want(t, "sent", r.step(m, m), sent{{Subject: messages.FrontendSubject(partition0, frontend-1), Message: fenced(frontend)[0]}})
		})
	}
}

func TestEveryOlderFrontendIsFencedWithTheHighestEpoch(t *testing.T) {
	r := newRig(t)
	r.step(announce(frontend))
	got := r.step(announce(3), announce(2), announce(frontend+1), announce(frontend))
	for _, epoch := range []uint64{2, 3, frontend} {
		want(t, "sent to an older one", got.toFrontend(epoch), fenced(frontend+1))
	}
	want(t, "sent to the newest", got.toFrontend(frontend+1), announced(frontend+1))
	want(t, "messages", len(got), 4)
}

func TestAnnounceOvertakenInItsTurnIsFencedNotConfirmed(t *testing.T) {
	r := newRig(t)
	got := r.step(announce(frontend), stagedBy(frontend+1, batch("a", 1, 1)))
	want(t, "sent to the older one", got.toFrontend(frontend), fenced(frontend+1))
	want(t, "sent to the newer one, which announced nothing", got.toFrontend(frontend+1), nil)
}

func TestNewerFrontendEpochForgetsTheLanes(t *testing.T) {
	for name, m := range map[string]messages.Message{
		"announce": announce(frontend + 1),
		"staged":   stagedBy(frontend+1, batch("z", 2, 1)),
		"advance":  messages.Advance{Partition: partition0, Epoch: frontend + 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.step(staged(batch("a", 1, 1), batch("a", 3, 1)))
			r.step(m)
			want(t, "released after hello", r.step(hello(1)).releases(), nil)
			// The same numbers are other batches now.
			got := r.step(stagedBy(frontend+1, batch("a", 2, 1)))
			want(t, "released of the second", got.releases(), nil)
			got = r.step(stagedBy(frontend+1, batch("a", 1, 1)))
			want(t, "released of the first", got.releases(), []string{"a:1", "a:2"})
			want(t, "epoch", got[0].Message.(messages.Release).Epoch, uint64(frontend+1))
		})
	}
}

func TestResultOfOlderFrontendIsDropped(t *testing.T) {
	r := newRig(t)
	r.step(stagedBy(frontend+1, batch("a", 2, 1)))
	want(t, "released of the old one", r.step(staged(batch("a", 1, 1))).releases(), nil)
	want(t, "released of the new one", r.step(stagedBy(frontend+1, batch("a", 1, 1))).releases(), []string{"a:1", "a:2"})
}

func TestNewSequencerKeepsFrontendsApart(t *testing.T) {
	r := newRig(t)
	want(t, "released", r.step(staged(batch("a", 3, 2))).releases(), nil)
	got := r.step(stagedBy(frontend+1, batch("a", 1, 1)), staged(batch("a", 2, 2)))
	want(t, "released of the new one", got.releases(), []string{"a:1"})
	want(t, "sent to the old one", got.toFrontend(frontend), fenced(frontend+1))
}

func TestReleaseNeverMixesFrontendEpochs(t *testing.T) {
	r := newRig(t)
	got := r.step(
		staged(batch("a", 1, 1)), advance(progress("b", 1, 4)), hello(8),
		stagedBy(frontend+1, batch("a", 1, 1)),
	)
	var epochs, terms []uint64
	for _, m := range got.messages(messages.ReplicatorSubject(partition0)) {
		epochs = append(epochs, m.(messages.Release).Epoch)
		terms = append(terms, m.(messages.Release).HelloTerm)
	}
	want(t, "epochs of the releases", epochs, []uint64{frontend, frontend + 1})
	want(t, "hello answered in", terms, []uint64{8, 0})
	want(t, "missing of the old epoch", got.toFrontend(frontend), nil)
	want(t, "missing of the new epoch", got.toFrontend(frontend+1), nil)
}

// takes checks what a step asks for when a replicator knows an epoch of a sequencer.
func (r *rig) takes(known, want uint64) {
	r.t.Helper()
	fx := r.effects(messages.Fenced{Partition: partition0, Epoch: known})
	if fx.TakeEpoch != want || len(fx.Send) > 0 {
		r.t.Errorf("fenced by epoch %d: %+v, want to take one above %d", known, fx, want)
	}
}

func TestFencedSequencerTakesAnEpochAboveTheKnownOne(t *testing.T) {
	newRig(t).takes(sequencerEpoch+3, sequencerEpoch+3)
}

func TestFenceOfOwnOrLowerEpochIsStale(t *testing.T) {
	r := newRig(t)
	r.takes(sequencerEpoch, 0)
	r.takes(sequencerEpoch-1, 0)
	r.step(EpochTaken{sequencerEpoch + 9})
	r.takes(sequencerEpoch+9, 0)
	r.takes(sequencerEpoch+10, sequencerEpoch+10)
}

func TestFenceIsAnsweredOnceForEachEpoch(t *testing.T) {
	r := newRig(t)
	r.takes(sequencerEpoch+3, sequencerEpoch+3)
	r.takes(sequencerEpoch+3, 0)
	r.takes(sequencerEpoch+2, 0)
	r.takes(sequencerEpoch+4, sequencerEpoch+4)
}

func TestNewEpochContinuesWithEverythingHeld(t *testing.T) {
	r := newRig(t)
	r.step(staged(batch("a", 1, 1), batch("a", 3, 1)))
	r.takes(sequencerEpoch+3, sequencerEpoch+3)
	r.silent("with the new epoch alone", r.step(EpochTaken{sequencerEpoch + 4}))
	got := r.step(hello(1), staged(batch("a", 2, 1)))
	want(t, "released", got.releases(), []string{"a:1", "a:2", "a:3"})
	want(t, "sequencer epoch", got[0].Message.(messages.Release).SequencerEpoch, sequencerEpoch+4)
	want(t, "after an older one", r.step(EpochTaken{sequencerEpoch + 1}, hello(2))[0].Message.(messages.Release).SequencerEpoch, sequencerEpoch+4)
}
