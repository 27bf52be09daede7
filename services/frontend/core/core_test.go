package core

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

var (
	testPartition = protocol.Partition{Topic: "orders", TopicID: 7, Number: 0}
	testTimes     = Times{Heartbeat: 200 * time.Millisecond, StageTimeout: 2 * time.Second, Deadline: 10 * time.Second}
	start         = time.Unix(1_000_000, 0)
)

const testEpoch = 5

// world drives a log with one partition, with synthetic time, and gathers what it does.
type world struct {
	t       *testing.T
	log     *Log
	core    *Core // of the partition
	now     time.Time
	stages  []messages.StageBatch
	advance []messages.LaneProgress
	answers []Answer
}

// newWorld returns a core whose epoch is announced.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, log: NewLog(testEpoch, testTimes), now: start}
	w.step(Added{Partition: testPartition})
	w.core = w.log.cores.Get(testPartition).Core
	w.step(messages.Announced{Partition: testPartition, Epoch: testEpoch})
	return w
}

func (w *world) step(events ...Event) Effects {
	w.t.Helper()
	fx := w.log.Step(w.now, events)
	for _, e := range fx.Send {
		switch m := e.Message.(type) {
		case messages.Stage:
			w.stages = append(w.stages, m.Batches...)
		case messages.Advance:
			w.advance = append(w.advance, m.Lanes...)
		}
	}
	w.answers = append(w.answers, fx.Answers...)
	return fx
}

// pass lets time go by, with a step every heartbeat.
func (w *world) pass(d time.Duration) {
	w.t.Helper()
	for end := w.now.Add(d); w.now.Before(end); {
		w.now = w.now.Add(testTimes.Heartbeat)
		w.step()
	}
}

func produce(lane, name string) Produce {
	return Produce{
		Partition:  testPartition,
		Submission: messages.Submission{Batch: messages.Batch{Ticket: messages.Ticket{Lane: lane}, Records: 1}},
		Payload:    []byte(name), Request: name,
	}
}

func commit(lane string, base int64, numbers ...uint64) CommittedEntry {
	entry := messages.Entry{TopicID: testPartition.TopicID, Epoch: testEpoch, BaseOffset: base}
	for _, n := range numbers {
		entry.Batches = append(entry.Batches, messages.Placeholder{Batch: messages.Batch{Ticket: messages.Ticket{Lane: lane, Number: n}, Records: 1}})
	}
	return CommittedEntry{testPartition, entry}
}

func refusal(lane string, number uint64, attempt uint32, code protocol.Code) messages.Refused {
	return messages.Refused{Partition: testPartition, Epoch: testEpoch, Refusals: []messages.Refusal{
		{Ticket: messages.Ticket{Lane: lane, Number: number}, Attempt: attempt, Code: code},
	}}
}

func missing(lane string, numbers ...uint64) messages.Missing {
	return messages.Missing{Partition: testPartition, Epoch: testEpoch, Lanes: []messages.LaneNumbers{{Lane: lane, Numbers: numbers}}}
}

// answered returns the answers as request=offset, or request=ERROR_NAME.
func (w *world) answered() []string {
	var out []string
	for _, a := range w.answers {
		if a.Error != nil {
			out = append(out, fmt.Sprintf("%v=%s", a.Request, a.Error.Code.Kind().Name))
			continue
		}
		out = append(out, fmt.Sprintf("%v=%d", a.Request, a.Offset))
	}
	return out
}

func (w *world) wantAnswers(want ...string) {
	w.t.Helper()
	if got := w.answered(); !slices.Equal(got, want) {
		w.t.Fatalf("answers %v, want %v", got, want)
	}
}

func TestTicketsAreIssuedInArrivalOrder(t *testing.T) {
	w := newWorld(t)
	w.step(produce("a", "a1"), produce("a", "a2"), produce("b", "b1"), produce("a", "a3"))
	var got []string
	for _, b := range w.stages {
		got = append(got, fmt.Sprintf("%s%d=%s floor %d", b.Lane, b.Number, b.Payload, b.Floor))
	}
	want := []string{"a1=a1 floor 1", "a2=a2 floor 1", "b3=b1 floor 3", "a3=a3 floor 1"}
	if !slices.Equal(got, want) {
		t.Fatalf("staged %q, want %q", got, want)
	}
}

func TestTurnSendsOneStageMessage(t *testing.T) {
	w := newWorld(t)
	var events []Event
	for range 3 {
		p := produce("a", "x")
		p.Payload = make([]byte, 400<<10)
		events = append(events, p)
	}
	fx := w.step(events...)
	if len(fx.Send) != 2 {
		t.Fatalf("%d messages for 3 × 400 KiB, want 2", len(fx.Send))
	}
}

func TestOutcomesAreAnsweredInTicketOrder(t *testing.T) {
	w := newWorld(t)
	w.step(produce("a", "a1"), produce("a", "a2"), produce("a", "a3"))
	w.step(commit("a", 2, 3), commit("a", 1, 2))
	w.wantAnswers()
	w.step(commit("a", 0, 1))
	w.wantAnswers("a1=0", "a2=1", "a3=2")
}

func TestOutcomesKeepTheirOrder(t *testing.T) {
	w := newWorld(t)
	w.step(produce("a", "a1"), produce("a", "a2"))
	w.step(messages.Outcomes{Partition: testPartition, Epoch: testEpoch, Outcomes: []messages.Outcome{
		{Ticket: messages.Ticket{Lane: "a", Number: 2}, Offset: 9}, {Ticket: messages.Ticket{Lane: "a", Number: 1}, Offset: 8},
	}})
	w.wantAnswers("a1=8", "a2=9")
}

func TestALaneDoesNotWaitForAnother(t *testing.T) {
	w := newWorld(t)
	w.step(produce("a", "a1"), produce("b", "b1"))
	w.step(commit("b", 0, 2))
	w.wantAnswers("b1=0")
}

func TestDuplicateGetsOriginalOffset(t *testing.T) {
	w := newWorld(t)
	w.step(produce("a", "a1"))
	w.step(messages.Outcomes{Partition: testPartition, Epoch: testEpoch, Outcomes: []messages.Outcome{
		{Ticket: messages.Ticket{Lane: "a", Number: 1}, Offset: 4, Duplicate: true},
	}})
	if len(w.answers) != 1 || !w.answers[0].Duplicate || w.answers[0].Offset != 4 {
		t.Fatalf("answers %+v, want one duplicate of offset 4", w.answers)
	}
}

func TestEveryRequestIsAnsweredOnce(t *testing.T) {
	w := newWorld(t)
	w.step(produce("a", "a1"))
	w.step(commit("a", 0, 1), commit("a", 0, 1))
	w.step(messages.Outcomes{Partition: testPartition, Epoch: testEpoch, Outcomes: []messages.Outcome{{Ticket: messages.Ticket{Lane: "a", Number: 1}}}})
	w.pass(2 * testTimes.Deadline)
	w.wantAnswers("a1=0")
}

func TestUnknownOutcomeIsNeverReportedAsFailed(t *testing.T) {
	w := newWorld(t)
	w.step(produce("a", "a1"))
	w.pass(testTimes.Deadline + testTimes.Heartbeat)
	w.wantAnswers("a1=OUTCOME_UNKNOWN")
}

func TestTicketsAreResolvedByDeadline(t *testing.T) {
	w := newWorld(t)
	w.step(produce("a", "a1"), produce("a", "a2"), produce("b", "b1"))
	w.pass(testTimes.Deadline)
	w.pass(testTimes.Heartbeat)
	if got := w.core.Stats().Outstanding; got != 0 || len(w.answers) != 3 {
		t.Fatalf("%d tickets outstanding, %d answers; want 0 and 3", got, len(w.answers))
	}
}

func TestAllStagingsRefusedIsFailed(t *testing.T) {
	w := newWorld(t)
	w.step(produce("a", "a1"), produce("a", "a2"))
	w.step(refusal("a", 1, 1, protocol.CodeStoreUnavailable))
	w.wantAnswers("a1=FAILED")
	w.step(commit("a", 0, 2))
	w.wantAnswers("a1=FAILED", "a2=0")
}

// Every stager refuses such a batch, so it does not matter that nothing is known of the first
// attempt.
func TestBatchThatIsWrongIsRejectedWithTheReason(t *testing.T) {
	w := newWorld(t)
	wrong := produce("a", "a1")
	wrong.MaxRecordBytes = 100
	w.step(wrong, produce("a", "a2"))
	if w.stages[0].MaxRecordBytes != 100 || w.stages[1].MaxRecordBytes != 0 {
		t.Errorf("staged %+v", w.stages)
	}
	w.pass(testTimes.StageTimeout)
	w.step(missing("a", 1))
	w.step(refusal("a", 1, 2, protocol.CodeMalformedBatch))
	w.wantAnswers("a1=MALFORMED_BATCH")
	w.step(commit("a", 0, 2))
	w.wantAnswers("a1=MALFORMED_BATCH", "a2=0")
}

func TestRefusalAfterLostStagingIsUnknownOutcome(t *testing.T) {
	w := newWorld(t)
	w.step(produce("a", "a1"))
	w.pass(testTimes.StageTimeout)
	w.step(missing("a", 1))
	w.step(refusal("a", 1, 2, protocol.CodeStoreUnavailable))
	w.wantAnswers("a1=OUTCOME_UNKNOWN")
}

func TestARepeatedRefusalCountsOnce(t *testing.T) {
	w := newWorld(t)
	w.step(produce("a", "a1"))
	w.step(refusal("a", 1, 1, protocol.CodeStagerBusy))
	w.pass(testTimes.Heartbeat)
	if len(w.stages) != 2 {
		t.Fatalf("staged %d times, want 2", len(w.stages))
	}
	w.step(refusal("a", 1, 1, protocol.CodeStoreUnavailable))
	w.wantAnswers()
}

func TestBusyStagerIsRetried(t *testing.T) {
	w := newWorld(t)
	w.step(produce("a", "a1"))
	w.step(refusal("a", 1, 1, protocol.CodeStagerBusy))
	if len(w.stages) != 1 {
		t.Fatal("staged again at once; a busy stager needs a pause")
	}
	w.pass(testTimes.Heartbeat)
	if len(w.stages) != 2 || w.stages[1].Attempt != 2 {
		t.Fatalf("stagings %+v, want a second attempt", w.stages)
	}
}

func TestMissingIsNotLostBeforeTheStageTimeout(t *testing.T) {
	w := newWorld(t)
	w.step(produce("a", "a1"))
	for range 9 {
		w.now = w.now.Add(testTimes.Heartbeat)
		w.step(missing("a", 1))
	}
	if len(w.stages) != 1 {
		t.Fatalf("staged %d times before the stage timeout, want 1", len(w.stages))
	}
	w.now = w.now.Add(testTimes.Heartbeat)
	w.step(missing("a", 1))
	if len(w.stages) != 2 {
		t.Fatalf("staged %d times after the stage timeout, want 2", len(w.stages))
	}
}

func TestMissingOfAResolvedTicketIsNotStaged(t *testing.T) {
	w := newWorld(t)
	w.step(produce("a", "a1"))
	w.step(commit("a", 0, 1))
	w.pass(testTimes.StageTimeout)
	w.step(missing("a", 1))
	if len(w.stages) != 1 {
		t.Fatalf("staged %d times, want 1", len(w.stages))
	}
}

func TestOnlyLanesThatWaitLongerThanAHeartbeatAdvance(t *testing.T) {
	w := newWorld(t)
	w.step(produce("a", "a1"), produce("a", "a2"))
	w.now = w.now.Add(testTimes.Heartbeat / 2)
	w.step(produce("b", "b1"))
	w.now = w.now.Add(testTimes.Heartbeat / 2)
	w.step()
	want := []messages.LaneProgress{{Lane: "a", Floor: 1, Highest: 2}}
	if !slices.Equal(w.advance, want) {
		t.Fatalf("advanced %+v, want %+v", w.advance, want)
	}
}

func TestALastAdvanceGoesOutWhenALaneEmpties(t *testing.T) {
	w := newWorld(t)
	w.step(produce("a", "a1"), produce("a", "a2"))
	w.step(commit("a", 0, 1, 2))
	w.pass(3 * testTimes.Heartbeat)
	want := []messages.LaneProgress{{Lane: "a", Floor: 3, Highest: 2}}
	if !slices.Equal(w.advance, want) {
		t.Fatalf("advanced %+v, want %+v once", w.advance, want)
	}
}

func TestAbandonedTicketDoesNotMoveFloorPastFirst(t *testing.T) {
	w := newWorld(t)
	w.step(produce("a", "a1"), produce("a", "a2"), produce("a", "a3"))
	w.step(refusal("a", 2, 1, protocol.CodeStoreUnavailable))
	w.wantAnswers()
	w.pass(testTimes.Heartbeat)
	if got := w.advance[len(w.advance)-1]; got.Floor != 1 {
		t.Fatalf("floor %d while the first ticket is open, want 1", got.Floor)
	}
	w.step(commit("a", 0, 1))
	w.pass(testTimes.Heartbeat)
	if got := w.advance[len(w.advance)-1]; got.Floor != 3 {
		t.Fatalf("floor %d with 1 resolved and 2 given up, want 3", got.Floor)
	}
	w.wantAnswers("a1=0", "a2=FAILED")
}

func TestReturningLaneStartsAboveEveryNumber(t *testing.T) {
	w := newWorld(t)
	w.step(produce("a", "a1"), produce("b", "b1"), produce("b", "b2"))
	w.step(commit("a", 0, 1))
	w.step(produce("a", "a2"))
	last := w.stages[len(w.stages)-1]
	if last.Number != 4 || last.Floor != 4 {
		t.Fatalf("number %d floor %d, want 4 and 4", last.Number, last.Floor)
	}
}

func TestRefusalOfEvictedLaneAfterStallIsUnknownOutcome(t *testing.T) {
	w := newWorld(t)
	w.step(produce("a", "a1"), produce("b", "b1"))
	w.now = w.now.Add(testTimes.Deadline)
	w.step(messages.Outcomes{Partition: testPartition, Epoch: testEpoch, Outcomes: []messages.Outcome{
		{Ticket: messages.Ticket{Lane: "a", Number: 1}, Code: protocol.CodeNotCommitted}, {Ticket: messages.Ticket{Lane: "b", Number: 1}, Code: protocol.CodeOverloaded},
	}})
	w.wantAnswers("a1=OUTCOME_UNKNOWN", "b1=OUTCOME_UNKNOWN")
}

func TestEvictedLaneContinuesAboveEveryNumber(t *testing.T) {
	w := newWorld(t)
	w.step(produce("a", "a1"), produce("b", "b1"), produce("b", "b2"), produce("a", "a2"))
	refused := func(n uint64) messages.Outcomes {
		return messages.Outcomes{Partition: testPartition, Epoch: testEpoch, Outcomes: []messages.Outcome{
			{Ticket: messages.Ticket{Lane: "a", Number: n}, Code: protocol.CodeNotCommitted},
		}}
	}
	w.step(refused(1))
	w.step(produce("a", "a3"), produce("a", "a4"))
	var numbers []uint64
	for _, b := range w.stages[len(w.stages)-2:] {
		numbers = append(numbers, b.Number)
	}
	if !slices.Equal(numbers, []uint64{4, 5}) {
		t.Fatalf("numbers %v after a refusal with 3 issued, want 4 and 5", numbers)
	}
	w.step(refused(2))
	w.step(produce("a", "a5"))
	if last := w.stages[len(w.stages)-1]; last.Number != 6 || last.Floor != 4 {
		t.Fatalf("number %d, floor %d; a refusal of before the leap causes no other", last.Number, last.Floor)
	}
	w.step(commit("a", 0, 4, 5, 6))
	w.wantAnswers("a1=NOT_COMMITTED", "a2=NOT_COMMITTED", "a3=0", "a4=1", "a5=2")
}

func TestTheEpochIsAnnouncedUntilItIsConfirmed(t *testing.T) {
	core := NewCore(testPartition, testEpoch, "", testTimes)
	announced := func(fx Effects) int {
		n := 0
		for _, e := range fx.Send {
			if _, ok := e.Message.(messages.Announce); ok {
				n++
			}
		}
		return n
	}
	if n := announced(core.step(start, nil, true)); n != 1 {
		t.Fatalf("announced %d times at first, want 1", n)
	}
	if n := announced(core.step(start.Add(testTimes.Heartbeat/2), nil, true)); n != 0 {
		t.Fatal("announced again before a heartbeat has passed")
	}
	if n := announced(core.step(start.Add(testTimes.Heartbeat), nil, true)); n != 1 {
		t.Fatal("not announced again after a heartbeat without an answer")
	}
	fx := core.step(start.Add(2*testTimes.Heartbeat), []Event{messages.Announced{Partition: testPartition, Epoch: testEpoch}}, true)
	if len(fx.Ready) != 1 || announced(fx) != 0 {
		t.Fatalf("ready %v after the confirmation", fx.Ready)
	}
}

func TestStaleCommittedIsIgnored(t *testing.T) {
	w := newWorld(t)
	w.step(produce("a", "a1"))
	older := commit("a", 0, 1)
	older.Entry.Epoch = testEpoch - 1
	other := testPartition
	other.TopicID++
	w.step(older, messages.Outcomes{Partition: testPartition, Epoch: testEpoch - 1, Outcomes: []messages.Outcome{{Ticket: messages.Ticket{Lane: "a", Number: 1}}}},
		messages.Outcomes{Partition: other, Epoch: testEpoch, Outcomes: []messages.Outcome{{Ticket: messages.Ticket{Lane: "a", Number: 1}}}},
		messages.Fenced{Partition: testPartition, Epoch: testEpoch - 1})
	w.wantAnswers()
}

func BenchmarkProduceAndCommit(b *testing.B) {
	core := NewCore(testPartition, testEpoch, "", testTimes)
	core.step(start, []Event{messages.Announced{Partition: testPartition, Epoch: testEpoch}}, true)
	const group = 1000
	events := make([]Event, group)
	b.ReportAllocs()
	number := uint64(0)
	for b.Loop() {
		for i := range events {
			events[i] = Produce{Submission: messages.Submission{Batch: messages.Batch{Ticket: messages.Ticket{Lane: "a"}, Records: 1}}, Payload: []byte("x")}
		}
		core.step(start, events, true)
		entry := messages.Entry{Epoch: testEpoch}
		for range group {
			number++
			entry.Batches = append(entry.Batches, messages.Placeholder{Batch: messages.Batch{Ticket: messages.Ticket{Lane: "a", Number: number}, Records: 1}})
		}
		core.step(start, []Event{CommittedEntry{testPartition, entry}}, true)
	}
	b.ReportMetric(float64(group*b.N)/b.Elapsed().Seconds(), "batches/s")
}
