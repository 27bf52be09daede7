package core

import (
	"testing"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

func TestHeadOfTheLaneIsReleasedAtOnce(t *testing.T) {
	r := newRig(t)
	b := batch("a", 1, 1)
	want(t, "sent", r.step(staged(b)), sent{{
		Subject: "_laneway.replicator.0",
		Message: messages.Release{
			Partition: partition0, Epoch: frontend, SequencerEpoch: sequencerEpoch,
			Batches: []messages.StagedBatch{b},
		},
	}})
}

func TestSecondInLineWaitsForTheFirst(t *testing.T) {
	r := newRig(t)
	r.silent("the second", r.step(staged(batch("a", 2, 1))))
	want(t, "the first", r.step(staged(batch("a", 1, 1))).releases(), []string{"a:1", "a:2"})
}

func TestSlowLaneDelaysNoOther(t *testing.T) {
	r := newRig(t)
	got := r.step(staged(batch("a", 2, 1), batch("b", 1, 1), batch("a", 3, 1), batch("b", 2, 1)))
	want(t, "released while a waits", got.releases(), []string{"b:1", "b:2"})
	want(t, "released when a's head is there", r.step(staged(batch("a", 1, 1))).releases(), []string{"a:1", "a:2", "a:3"})
}

func TestOneMessagePerDestinationAndTurn(t *testing.T) {
	r := newRig(t)
	r.step(announce(frontend))
	got := r.step(
		staged(batch("a", 1, 1)), staged(batch("b", 1, 1)),
		advance(progress("c", 1, 1)), advance(progress("d", 1, 2)),
		stagedBy(frontend-1, batch("a", 1, 1)), stagedBy(frontend-1, batch("a", 2, 1)),
	)
	want(t, "messages", len(got), 3)
	want(t, "released", got.releases(), []string{"a:1", "b:1"})
	want(t, "missing", got.toFrontend(frontend), []messages.Message{messages.Missing{
		Partition: partition0, Epoch: frontend, Lanes: []messages.LaneNumbers{
			{Lane: "c", Numbers: []uint64{1}}, {Lane: "d", Numbers: []uint64{1, 2}},
		},
	}})
}

func TestReleasesCarryTheHighestFloorNotTheirOwn(t *testing.T) {
	r := newRig(t)
	r.step(staged(batch("a", 4, 1), batch("a", 5, 1)))
	got := r.step(advance(progress("a", 4, 6)))
	want(t, "released", got.releases(), []string{"a:4", "a:5"})
	floors := func(s sent) (list []uint64) {
		for _, m := range s.messages(messages.ReplicatorSubject(partition0)) {
			for _, b := range m.(messages.Release).Batches {
				list = append(list, b.Floor)
			}
		}
		return list
	}
	want(t, "floors", floors(got), []uint64{4, 4})
	want(t, "floors of a late result", floors(r.step(staged(batch("a", 6, 2)))), []uint64{4})
	want(t, "floors after hello", floors(r.step(advance(progress("a", 5, 6)), hello(1))), []uint64{5, 5})
}

func TestMessagesOfAnotherIncarnationAreIgnored(t *testing.T) {
	r := newRig(t)
	old, other, elsewhere := partition0, partition0, partition0
	old.TopicID--
	other.Number++
	elsewhere.Topic = "other"
	for _, p := range []protocol.Partition{old, other, elsewhere} {
		r.silent("sent for "+p.String(), r.step(
			messages.Announce{Partition: p, Epoch: 99},
			messages.Staged{Partition: p, Epoch: 99, Batches: []messages.StagedBatch{batch("a", 1, 1)}},
			messages.Advance{Partition: p, Epoch: 99, Lanes: []messages.LaneProgress{progress("a", 1, 3)}},
			messages.Hello{Partition: p, Term: 9},
		))
	}
	want(t, "released of its own", r.step(staged(batch("a", 1, 1))).releases(), []string{"a:1"})
}

func TestMessagesOfOthersAreIgnored(t *testing.T) {
	r := newRig(t)
	r.silent("sent", r.step(
		messages.Release{Partition: partition0, Epoch: 99, Batches: []messages.StagedBatch{batch("a", 1, 1)}},
		messages.Committed{Partition: partition0}, messages.Outcomes{Partition: partition0, Epoch: 99},
	))
	want(t, "released", r.step(staged(batch("a", 1, 1))).releases(), []string{"a:1"})
}

func TestIdleLanesAreForgotten(t *testing.T) {
	r := newRig(t)
	r.step(staged(batch("a", 1, 1), batch("b", 1, 1), batch("c", 2, 1)))
	want(t, "lanes", len(r.core.lanes), 3)
	r.wait(heartbeat)
	r.step(advance(progress("a", 2, 1), progress("b", 1, 1), progress("c", 1, 2)))
	want(t, "lane that emptied", r.core.lanes["a"] == nil, true)
	want(t, "lanes with something in flight", len(r.core.lanes), 2)
	want(t, "stats", r.core.Stats(), Stats{Completions: 3, Early: 1, Released: 2, Repeated: 1, Lanes: 2, Waiting: 1})
}

func TestIdleLanesAreSearchedOncePerHeartbeat(t *testing.T) {
	r := newRig(t)
	r.step(staged(batch("a", 1, 1)))
	r.wait(heartbeat - 1)
	r.step(advance(progress("a", 2, 1)))
	want(t, "lanes before a heartbeat", len(r.core.lanes), 1)
	r.wait(1)
	r.step()
	want(t, "lanes after it", len(r.core.lanes), 0)
}

func TestLanesOfASilentFrontendAreForgotten(t *testing.T) {
	r := newRig(t)
	r.step(staged(batch("a", 1, 1), batch("b", 2, 1)))
	r.idle(silentHeartbeats)
	want(t, "lanes at the limit", len(r.core.lanes), 2)
	r.idle(1)
	want(t, "lanes beyond it", len(r.core.lanes), 0)
	want(t, "stats", r.core.Stats(), Stats{Completions: 2, Early: 1, Released: 1})
}

func TestStatsCountWhatFinishedOutOfOrder(t *testing.T) {
	r := newRig(t)
	r.wait(heartbeat) // so that the first step has a beat, in which lanes are counted
	r.step(staged(batch("a", 3, 1), batch("a", 2, 1)))
	r.step(staged(batch("a", 2, 1), batch("a", 1, 1), batch("a", 1, 1)))
	want(t, "stats", r.core.Stats(), Stats{Completions: 3, Early: 2, Released: 3, Repeated: 1, Lanes: 1, Waiting: 2})
}

func TestReleasedNamesTheFirstReleaseOfTracedBatches(t *testing.T) {
	r := newRig(t)
	traced := batch("a", 2, 1)
	traced.Trace.Parent = "stage"
	want(t, "of a batch that waits", r.effects(staged(traced)).Released, nil)
	r.wait(time.Second)
	fx := r.effects(staged(batch("a", 1, 1)))
	want(t, "released", fx.Released, []Released{{Partition: partition0, Batch: &traced, Staged: start, At: start.Add(time.Second)}})
	fx.Released[0].Batch.Trace.Parent = "await turn"
	sentBatches := fx.Send[0].Message.(messages.Release).Batches
	want(t, "trace of the release", sentBatches[1].Trace.Parent, "await turn")
	again := r.effects(hello(3))
	want(t, "of a repetition", again.Released, nil)
	want(t, "trace of a repetition", again.Send[0].Message.(messages.Release).Batches[1].Trace.Parent, "await turn")
}

func TestReleasedPointToTheirEpochsMessages(t *testing.T) {
	r := newRig(t)
	old, young := batch("a", 1, 1), batch("b", 1, 1)
	old.Trace.Parent, young.Trace.Parent = "old", "young"
	fx := r.effects(staged(batch("z", 1, 1), old), stagedBy(frontend+1, young))
	want(t, "released", fx.Released, []Released{{Partition: partition0, Batch: &old, Staged: start, At: start}, {Partition: partition0, Batch: &young, Staged: start, At: start}})
}

func TestStepSendsNothingTwice(t *testing.T) {
	r := newRig(t)
	r.step(announce(frontend), staged(batch("a", 1, 1)), hello(4), advance(progress("b", 1, 1)), stagedBy(1, batch("a", 1, 1)))
	want(t, "sent", r.effects(), Effects{})
}
