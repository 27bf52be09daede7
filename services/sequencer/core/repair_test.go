package core

import (
	"fmt"
	"testing"

	"laneway.dev/pkg/messages"
)

func releaseAgain(epoch uint64, lane string, from ...uint64) messages.ReleaseAgain {
	return messages.ReleaseAgain{
		Partition: partition0, Epoch: epoch, Lanes: []messages.LaneNumbers{{Lane: lane, Numbers: from}},
	}
}

func TestLastReleaseLostIsRepairedByTheHeartbeat(t *testing.T) {
	r := newRig(t)
	r.step(staged(batch("a", 1, 1), batch("a", 2, 1)))
	r.wait(heartbeat - 1)
	r.silent("before a heartbeat", r.step(advance(progress("a", 1, 2))))
	r.wait(1)
	want(t, "after a heartbeat", r.step(advance(progress("a", 2, 2))).releases(), []string{"a:2"})
	r.silent("right after", r.step(advance(progress("a", 2, 2))))
	r.wait(heartbeat)
	r.silent("once resolved", r.step(advance(progress("a", 3, 2))))
}

func TestWithoutAFrontendsHeartbeatNothingIsRepeated(t *testing.T) {
	r := newRig(t)
	r.step(staged(batch("a", 1, 1)))
	r.idle(10)
}

func TestHeartbeatReportsMissingTickets(t *testing.T) {
	r := newRig(t)
	r.step(staged(batch("a", 2, 1)))
	for range 5 {
		r.wait(heartbeat)
		got := r.step(advance(progress("a", 1, 4)))
		want(t, "sent", got, sent{{Subject: messages.FrontendSubject(partition0, frontend), Message: missing("a", 1, 3, 4)[0]}})
	}
	want(t, "released", r.step(staged(batch("a", 1, 1))).releases(), []string{"a:1", "a:2"})
}

func TestNewSequencerAsksForWhatItMisses(t *testing.T) {
	r := newRig(t)
	r.step(staged(batch("a", 2, 1), batch("a", 3, 1)))
	r.begin(sequencerEpoch + 1)
	want(t, "the first, at the new one", r.step(staged(batch("a", 1, 1))).releases(), []string{"a:1"})
	got := r.step(advance(progress("a", 1, 3)))
	want(t, "missing", got.toFrontend(frontend), missing("a", 2, 3))
	want(t, "the third", r.step(staged(batch("a", 3, 1))).releases(), nil)
	want(t, "the second", r.step(staged(batch("a", 2, 1))).releases(), []string{"a:2", "a:3"})
}

func TestHelloRepeatsEverythingUnresolved(t *testing.T) {
	r := newRig(t)
	r.step(staged(batch("b", 1, 1), batch("a", 1, 1), batch("a", 2, 1), batch("a", 4, 1), batch("c", 1, 1)))
	r.step(advance(progress("a", 2, 4), progress("c", 2, 1)))
	got := r.step(hello(31))
	want(t, "released", got.releases(), []string{"a:2", "b:1"})
	want(t, "answers the term", got[0].Message.(messages.Release).HelloTerm, uint64(31))
	want(t, "released at the next hello", r.step(hello(31)).releases(), []string{"a:2", "b:1"})
}

func TestHelloIsAnsweredWithoutBatches(t *testing.T) {
	r := newRig(t)
	want(t, "sent", r.step(hello(31), hello(30)), sent{{
		Subject: messages.ReplicatorSubject(partition0),
		Message: messages.Release{Partition: partition0, SequencerEpoch: sequencerEpoch, HelloTerm: 31},
	}})
}

func TestLostReleaseIsRepeatedOnRequest(t *testing.T) {
	r := newRig(t)
	r.step(staged(batch("a", 1, 1), batch("a", 2, 1), batch("a", 3, 1), batch("a", 5, 1), batch("b", 1, 1)))
	want(t, "released at once, from there", r.step(releaseAgain(frontend, "a", 2)).releases(), []string{"a:2", "a:3"})
	r.step(advance(progress("a", 3, 5)))
	want(t, "released from below the floor", r.step(releaseAgain(frontend, "a", 1)).releases(), []string{"a:3"})
	r.silent("of another epoch", r.step(releaseAgain(frontend-1, "a", 1), releaseAgain(frontend+1, "a", 1)))
	r.silent("of an unknown lane", r.step(releaseAgain(frontend, "z", 1)))
	r.silent("of no number", r.step(releaseAgain(frontend, "a")))
	r.silent("of what was not released yet", r.step(releaseAgain(frontend, "a", 4)))
}

func TestDuplicatesAreNotMultiplied(t *testing.T) {
	r := newRig(t)
	r.step(staged(batch("a", 1, 1)))
	for range 100 {
		r.silent("a duplicate that waits", r.step(staged(batch("a", 3, 1))))
		want(t, "a duplicate that was released", r.step(staged(batch("a", 1, 1))).releases(), []string{"a:1"})
	}
	r.silent("a heartbeat", r.step(advance(progress("a", 1, 1))))
	r.silent("a result of a resolved ticket", r.step(advance(progress("a", 2, 1)), staged(batch("a", 1, 1))))
}

func TestResolvedTicketIsNeverReleased(t *testing.T) {
	r := newRig(t)
	r.step(staged(batch("a", 2, 1)))
	want(t, "when the first is given up", r.step(advance(progress("a", 2, 2))).releases(), []string{"a:2"})
	r.silent("the first, too late", r.step(staged(batch("a", 1, 1))))
	r.silent("the first, at a forgotten lane", func() sent {
		r.wait(heartbeat)
		r.step(advance(progress("a", 3, 2)))
		return r.step(staged(batch("a", 1, 3)))
	}())
}

func TestReleasesAreCutIntoMessagesThatFit(t *testing.T) {
	r := newRig(t)
	var batches []messages.StagedBatch
	var expected []string
	for n := uint64(1); n <= 2*itemsPerMessage+500; n++ {
		batches = append(batches, batch("a", n, 1))
		expected = append(expected, fmt.Sprintf("a:%d", n))
	}
	sizes := func(s sent) (list []int) {
		for _, m := range s.messages(messages.ReplicatorSubject(partition0)) {
			list = append(list, len(m.(messages.Release).Batches))
		}
		return list
	}
	got := r.step(staged(batches...))
	want(t, "batches in a message", sizes(got), []int{2000, 2000, 500})
	want(t, "released", got.releases(), expected)

	got = r.step(hello(4))
	want(t, "batches in a message after hello", sizes(got), []int{2000, 2000, 500})
	want(t, "released after hello", got.releases(), expected)
	for _, e := range got {
		want(t, "answers the term", e.Message.(messages.Release).HelloTerm, uint64(4))
	}
}

func TestMissingTicketsAreCutIntoMessagesThatFit(t *testing.T) {
	const lanes, outstanding = 2500, 300
	r := newRig(t)
	var all []messages.LaneProgress
	for i := range lanes {
		all = append(all, progress(fmt.Sprintf("lane %d", i), 1, outstanding))
	}
	all = append(all, progress("deep", 1, 10*missingPerLane))
	got := r.step(advance(all...)).toFrontend(frontend)
	reported, next := 0, 0
	for _, m := range got {
		numbers := 0
		for _, l := range m.(messages.Missing).Lanes {
			want(t, "lane", l.Lane, all[next].Lane)
			next++
			numbers += len(l.Numbers)
		}
		if reported += numbers; numbers > itemsPerMessage {
			t.Errorf("a message names %d tickets, want at most %d", numbers, itemsPerMessage)
		}
	}
	want(t, "lanes", next, lanes+1)
	want(t, "tickets", reported, lanes*outstanding+missingPerLane)
	if fewest := reported / itemsPerMessage; len(got) > 2*fewest {
		t.Errorf("%d messages for %d tickets", len(got), reported)
	}
}
