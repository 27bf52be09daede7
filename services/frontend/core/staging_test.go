package core

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

func holding(stager, lane string, number uint64, attempt uint32) messages.Holding {
	return messages.Holding{Partition: testPartition, Epoch: testEpoch, Stager: stager, Held: []messages.Held{
		{Ticket: messages.Ticket{Lane: lane, Number: number}, Attempt: attempt},
	}}
}

// busy is the refusal of an attempt by a stager without room.
func busy(stager, lane string, number uint64, attempt uint32) messages.Refused {
	m := refusal(lane, number, attempt, protocol.CodeStagerBusy)
	m.Stager = stager
	return m
}

// sent returns the batches that a step sends to stagers, as destination:lane number.attempt.
func sent(fx Effects) (all []string) {
	for _, e := range fx.Send {
		if m, is := e.Message.(messages.Stage); is {
			for _, b := range m.Batches {
				all = append(all, fmt.Sprintf("%s:%s%d.%d", e.Subject, b.Lane, b.Number, b.Attempt))
			}
		}
	}
	return all
}

func (w *world) wantSent(fx Effects, want ...string) {
	w.t.Helper()
	if got := sent(fx); !slices.Equal(got, want) {
		w.t.Fatalf("sent %q, want %q", got, want)
	}
}

// silent lets the stage timeout pass, and returns what the core does about missing tickets.
func (w *world) silent(lane string, numbers ...uint64) Effects {
	w.t.Helper()
	w.pass(testTimes.StageTimeout)
	return w.step(missing(lane, numbers...))
}

func TestBatchOnASlowStoreIsStagedOnce(t *testing.T) {
	w := newWorld(t)
	w.step(Stagers{[]string{"x", "y"}}, produce("a", "a1"))
	for range 19 { // 9.5 s, which is almost the deadline
		w.now = w.now.Add(500 * time.Millisecond)
		w.step(missing("a", 1), holding("x", "a", 1, 1))
	}
	if len(w.stages) != 1 || w.core.Stats().Restaged != 0 {
		t.Fatalf("staged %d times, want once", len(w.stages))
	}
	w.step(commit("a", 0, 1))
	w.wantAnswers("a1=0")
}

func TestSilentBatchGoesToAnotherStager(t *testing.T) {
	w := newWorld(t)
	w.wantSent(w.step(Stagers{[]string{"x", "y"}}, produce("a", "a1")), "_laneway.stage:a1.1")
	w.pass(time.Second)
	w.step(holding("y", "a", 1, 1))
	w.pass(testTimes.StageTimeout - testTimes.Heartbeat)
	w.wantSent(w.step(missing("a", 1)))
	w.pass(testTimes.Heartbeat)
	w.wantSent(w.step(missing("a", 1)), "_laneway.stager.x:a1.2")
	w.wantSent(w.silent("a", 1), "_laneway.stager.y:a1.3") // x, which got it by its name, is silent too
}

func TestLiveStagersTakeTurnsWithSilentBatches(t *testing.T) {
	w := newWorld(t)
	w.step(Stagers{[]string{"x", "y", "z"}}, produce("a", "a1"), produce("a", "a2"), produce("a", "a3"), produce("a", "a4"))
	w.wantSent(w.silent("a", 1, 2, 3, 4),
		"_laneway.stager.y:a1.2", "_laneway.stager.y:a4.2", "_laneway.stager.z:a2.2", "_laneway.stager.x:a3.2")
}

func TestBatchOfALoneStagerGoesToAnyStager(t *testing.T) {
	for name, live := range map[string][]string{"only the silent one": {"x"}, "none": {}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.step(Stagers{live}, produce("a", "a1"))
			w.step(holding("x", "a", 1, 1))
			w.wantSent(w.silent("a", 1), "_laneway.stage:a1.2")
		})
	}
}

func TestStagerThatIsNotAliveGetsNothingByName(t *testing.T) {
	w := newWorld(t)
	w.step(Stagers{[]string{"x", "y"}}, produce("a", "a1"), produce("a", "a2"))
	w.step(Stagers{[]string{"y"}})
	w.wantSent(w.silent("a", 1, 2), "_laneway.stager.y:a1.2", "_laneway.stager.y:a2.2")
}

func TestRefusedBatchGoesToAnotherStager(t *testing.T) {
	w := newWorld(t)
	w.step(Stagers{[]string{"x", "y"}}, produce("a", "a1"))
	w.step(busy("y", "a", 1, 1))
	w.pass(testTimes.Heartbeat)
	w.step(busy("x", "a", 1, 2))
	w.now = w.now.Add(testTimes.Heartbeat)
	w.step()
	w.now = w.now.Add(testTimes.Heartbeat)
	w.wantSent(w.step(), "_laneway.stager.y:a1.3")
	if got := w.core.Stats().Restaged; got != 2 {
		t.Errorf("%d batches are counted as staged again, want 2", got)
	}
}

func TestReportsThatSayNothingOfTheLastAttempt(t *testing.T) {
	otherEpoch, otherTopic := holding("x", "a", 1, 1), holding("x", "a", 1, 1)
	otherEpoch.Epoch--
	otherTopic.Partition.TopicID++
	for name, c := range map[string]struct {
		before []Event
		report messages.Holding
	}{
		"another batch":     {report: holding("x", "a", 2, 1)},
		"another lane":      {report: holding("x", "b", 1, 1)},
		"an attempt ahead":  {report: holding("x", "a", 1, 2)},
		"an older epoch":    {report: otherEpoch},
		"an earlier topic":  {report: otherTopic},
		"an earlier report": {before: []Event{holding("x", "a", 1, 1)}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.step(append([]Event{Stagers{[]string{"x", "y"}}, produce("a", "a1")}, c.before...)...)
			w.pass(testTimes.StageTimeout)
			if fx := w.step(c.report, missing("a", 1)); len(sent(fx)) != 1 {
				t.Errorf("sent %q, want that the batch is staged again", sent(fx))
			}
		})
	}
}

func TestReportOfAnEarlierAttemptDoesNotCount(t *testing.T) {
	w := newWorld(t)
	w.step(Stagers{[]string{"x", "y"}}, produce("a", "a1"), holding("x", "a", 1, 1))
	w.wantSent(w.silent("a", 1), "_laneway.stager.y:a1.2")
	w.pass(testTimes.StageTimeout - testTimes.Heartbeat)
	w.step(holding("x", "a", 1, 1)) // x continues, and y has lost the batch
	w.pass(testTimes.Heartbeat)
	w.wantSent(w.step(missing("a", 1)), "_laneway.stager.x:a1.3")
}

func TestRefusedAttemptIsNotHeld(t *testing.T) {
	w := newWorld(t)
	w.step(Stagers{[]string{"x", "y"}}, produce("a", "a1"))
	w.step(busy("x", "a", 1, 1), holding("z", "a", 1, 1))
	w.now = w.now.Add(testTimes.Heartbeat)
	w.wantSent(w.step(), "_laneway.stager.y:a1.2")
}

func TestReportOfAResolvedTicketIsIgnored(t *testing.T) {
	w := newWorld(t)
	w.step(produce("a", "a1"))
	w.step(commit("a", 0, 1), holding("x", "a", 1, 1))
	w.wantAnswers("a1=0")
}

func TestNewEpochKnowsTheLiveStagers(t *testing.T) {
	w := newWorld(t)
	w.step(Stagers{[]string{"x"}})
	w.fence()
	w.step(Stagers{[]string{"x", "y"}}) // reported while no epoch is served
	w.step(EpochTaken{nextEpoch}, messages.Announced{Partition: testPartition, Epoch: nextEpoch})
	w.step(produce("a", "a1"))
	report, again := holding("x", "a", 1, 1), missing("a", 1)
	report.Epoch, again.Epoch = nextEpoch, nextEpoch
	w.step(report)
	w.pass(testTimes.StageTimeout)
	w.wantSent(w.step(again), "_laneway.stager.y:a1.2")
}

func TestPartitionsStartAtDifferentStagers(t *testing.T) {
	first := map[string]bool{}
	for number := range int32(3) {
		c := NewCore(protocol.Partition{Number: number}, testEpoch, "", testTimes)
		c.setLive(Stagers{[]string{"x", "y", "z"}})
		first[c.another("")] = true
	}
	if len(first) != 3 {
		t.Errorf("three partitions start at %v", first)
	}
}

func TestStageNamesTheCodecOfTheTopicInEveryEpoch(t *testing.T) {
	for _, codec := range []protocol.Compression{"", protocol.CompressionZstd} {
		core := NewCore(testPartition, testEpoch, codec, testTimes)
		for _, epoch := range []uint64{testEpoch, testEpoch + 2} {
			if epoch != testEpoch {
				core.step(start, []Event{messages.Fenced{Partition: testPartition, Epoch: epoch - 1}}, true)
				core.step(start, []Event{EpochTaken{Epoch: epoch}}, true)
			}
			named := 0
			for _, e := range core.step(start, []Event{Produce{Submission: messages.Submission{Batch: messages.Batch{Ticket: messages.Ticket{Lane: "a"}, Records: 1}}}}, true).Send {
				if m, is := e.Message.(messages.Stage); is && m.Codec == codec && m.Epoch == epoch {
					named++
				}
			}
			if named != 1 {
				t.Errorf("epoch %d: %d Stage messages with codec %q", epoch, named, codec)
			}
		}
	}
}

func TestStageNamesTheNewCodecAfterAnUpdate(t *testing.T) {
	core := NewCore(testPartition, testEpoch, "", testTimes)
	core.step(start, []Event{Codec{Codec: protocol.CompressionZstd}}, true)
	core.step(start, []Event{messages.Fenced{Partition: testPartition, Epoch: testEpoch + 1}}, true)
	core.step(start, []Event{Codec{Codec: protocol.CompressionS2}}, true) // also while it serves nothing
	core.step(start, []Event{EpochTaken{Epoch: testEpoch + 2}}, true)
	for _, want := range []protocol.Compression{protocol.CompressionS2, protocol.CompressionZstd, ""} {
		named := 0
		for _, e := range core.step(start, []Event{
			Codec{Codec: want}, Produce{Submission: messages.Submission{Batch: messages.Batch{Ticket: messages.Ticket{Lane: "a"}, Records: 1}}},
		}, true).Send {
			if m, is := e.Message.(messages.Stage); is && m.Codec == want {
				named++
			}
		}
		if named != 1 {
			t.Errorf("%d Stage messages name codec %q", named, want)
		}
	}
	core.step(start, []Event{Codec{Codec: protocol.CompressionS2}, messages.Fenced{Partition: testPartition, Epoch: testEpoch + 3}}, true)
	core.step(start, []Event{EpochTaken{Epoch: testEpoch + 4}}, true)
	if core.codec != protocol.CompressionS2 {
		t.Errorf("the next epoch stages with codec %q", core.codec)
	}
}
