package fetch

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"laneway.dev/pkg/protocol"
)

// gapped has the records 0 and 1, a gap from 2 to 4, and the record 5.
func gapped() *modelLog {
	l := logOf([]int{2})
	l.skip(3)
	l.commit(1)
	return l
}

func damaged(damage func(*modelLog), entries ...[]int) *modelLog {
	l := logOf(entries...)
	damage(l)
	return l
}

func TestFetchIsSentThisAndEnds(t *testing.T) {
	late := newLog()
	late.first = 1001
	late.skip(100)
	late.commit(1)
	behind := logOf([]int{1}, []int{1})
	behind.skip(3)
	behind.commit()

	for _, c := range []struct {
		name    string
		log     *modelLog
		request string
		want    string
	}{
		{"empty log", newLog(), `{"from":"earliest"}`, "204 next 0 of 0"},
		{"empty log by time", newLog(), `{"time":"1970-01-01T00:00:00Z"}`, "204 next 0 of 0"},
		{"earliest", logOf([]int{2, 1}, nil, []int{1}), `{"from":"earliest"}`, "0; 1; 2; 3; 204 next 4 of 4"},
		{"latest", logOf([]int{2}), `{"from":"latest"}`, "204 next 2 of 2"},
		{"offset within a batch", logOf([]int{3}, []int{2}), `{"offset":1}`, "1; 2; 3; 4; 204 next 5 of 5"},
		{"offset at the end", logOf([]int{3}), `{"offset":3}`, "204 next 3 of 3"},
		{"offset beyond the end", logOf([]int{3}), `{"offset":4}`, "OFFSET_OUT_OF_RANGE from 0 next 4 of 3"},
		{"negative offset", logOf([]int{3}), `{"offset":-1}`, "OFFSET_OUT_OF_RANGE from 0 next -1 of 3"},
		{"log that begins late", late, `{"offset":0}`, "110 0-99 next 100 of 101; 100; 204 next 101 of 101"},

		{"max_records", logOf([]int{2, 2}), `{"offset":1,"max_records":2}`, "1; 2; 204 next 3 of 4"},
		{"max_bytes", logOf([]int{2, 2}), `{"offset":0,"max_bytes":3}`, "0; 1; 2; 204 next 3 of 4"},
		{"max_bytes below the first record", logOf(make([]int, 0), []int{12}), `{"offset":10,"max_bytes":1}`, "10; 204 next 11 of 12"},
		{"frames", logOf([]int{3, 1}), `{"offset":1,"frames":true}`, "[0 +3]; [3 +1]; 204 next 4 of 4"},
		{"max_records of frames", logOf([]int{2, 2}), `{"offset":1,"frames":true,"max_records":1}`, "[0 +2]; 204 next 2 of 4"},
		{"max_bytes of frames", logOf([]int{2, 2}), `{"offset":0,"frames":true,"max_bytes":1}`, "[0 +2]; 204 next 2 of 4"},

		{"gap", gapped(), `{"offset":0}`, "0; 1; 110 2-4 next 5 of 6; 5; 204 next 6 of 6"},
		{"gap between frames", gapped(), `{"offset":0,"frames":true}`, "[0 +2]; 110 2-4 next 5 of 6; [5 +1]; 204 next 6 of 6"},
		{"start inside a gap", gapped(), `{"offset":3}`, "110 3-4 next 5 of 6; 5; 204 next 6 of 6"},
		{"full before a gap", gapped(), `{"offset":0,"max_records":2}`, "0; 1; 204 next 2 of 6"},
		{"gap at the end", behind, `{"offset":1}`, "1; 110 2-4 next 5 of 5; 204 next 5 of 5"},
		{"time behind a gap", gapped(), `{"time":"1970-01-01T00:00:00.00000102Z"}`, "110 2-4 next 5 of 6; 5; 204 next 6 of 6"},

		{
			"lost entries", damaged(func(l *modelLog) { l.lose(2, 3) }, []int{1}, []int{2}, []int{1}, []int{1}),
			`{"offset":0}`, "0; CORRUPT 1-3 next 4 of 5",
		},
		{
			"start in lost entries", damaged(func(l *modelLog) { l.lose(2, 3) }, []int{1}, []int{2}, []int{1}, []int{1}),
			`{"offset":2}`, "CORRUPT 2-3 next 4 of 5",
		},
		{
			"start behind lost entries", damaged(func(l *modelLog) { l.lose(2, 3) }, []int{1}, []int{2}, []int{1}, []int{1}),
			`{"offset":4}`, "4; 204 next 5 of 5",
		},
		{"lost beginning", damaged(func(l *modelLog) { l.lose(1) }, []int{2}, []int{1}), `{"from":"earliest"}`, "CORRUPT 0-1 next 2 of 3"},
		{
			"damaged entry", damaged(func(l *modelLog) { l.corrupt(2) }, []int{1}, []int{2}, []int{1}),
			`{"offset":0}`, "0; CORRUPT 1-2 next 3 of 4",
		},
		{
			"damaged entry without records", damaged(func(l *modelLog) { l.corrupt(2); l.lose(3) }, []int{1}, nil, nil, []int{1}),
			`{"offset":0}`, "0; 1; 204 next 2 of 2",
		},
		{"lost end", damaged(func(l *modelLog) { l.lose(2) }, []int{1}, []int{1}), `{"offset":0}`, "0; CORRUPT 1-? next ? of 1"},
		{"lost end at once", damaged(func(l *modelLog) { l.lose(2) }, []int{1}, []int{1}), `{"from":"latest"}`, "CORRUPT 1-? next ? of 1"},
		{"lost end behind a limit", damaged(func(l *modelLog) { l.lose(2) }, []int{1}, []int{1}), `{"offset":0,"max_records":1}`, "0; 204 next 1 of 1"},
		{"damaged end", damaged(func(l *modelLog) { l.corrupt(2) }, []int{1}, []int{1}), `{"offset":0}`, "0; CORRUPT 1-? next ? of 1"},

		{
			"damaged payload", damaged(func(l *modelLog) { l.payloadOf(1, corruptPayload()) }, []int{1, 2, 1}),
			`{"offset":0}`, "0; CORRUPT 1-2 next 3 of 4",
		},
		{
			"start in a damaged payload", damaged(func(l *modelLog) { l.payloadOf(1, corruptPayload()) }, []int{1, 2, 1}),
			`{"offset":2,"frames":true}`, "CORRUPT 2-2 next 3 of 4",
		},
		{
			"payload that is no frame", damaged(func(l *modelLog) { l.payloadOf(0, Payload{Bytes: []byte("x")}) }, []int{1, 1}),
			`{"offset":0}`, "CORRUPT 0-0 next 1 of 2",
		},
		{
			"payload of another length", damaged(func(l *modelLog) { l.payloadOf(0, l.payloads[2]) }, []int{2, 1}),
			`{"offset":0}`, "CORRUPT 0-1 next 2 of 3",
		},
	} {
		t.Run(c.name, func(t *testing.T) { newRig(t, c.log, c.request).expect(c.want) })
	}
}

func TestTimeIsLocatedBehindAClockThatWasAhead(t *testing.T) {
	l := logOf([]int{1}, []int{1}) // times 1010 and 1020
	l.time = 5000
	l.commit(1) // 5010
	l.time = 1020
	for range 3 { // 1030 to 1050
		l.commit(1)
		l.entries[len(l.entries)-1].RisingFrom = 4
	}
	for nanoseconds, want := range map[int]string{
		1000: "0; 1; 2; 3; 4; 5", 1020: "1; 2; 3; 4; 5", 1021: "2; 3; 4; 5", 1030: "2; 3; 4; 5", 1031: "4; 5", 1050: "5", 1051: "", 5010: "",
	} {
		got := newRig(t, l, fmt.Sprintf(`{"time":"1970-01-01T00:00:00.%09dZ"}`, nanoseconds)).run()
		if got := strings.TrimSuffix(strings.TrimSuffix(got, "204 next 6 of 6"), "; "); got != want {
			t.Errorf("from %d on: %q, want %q", nanoseconds, got, want)
		}
	}
}

func TestStartIsFoundWithFewReads(t *testing.T) {
	l := newLog()
	for range 1000 {
		l.commit(1)
	}
	r := newRig(t, l, `{"offset":777,"max_records":1}`)
	reads := 0
	r.asks = func(q Question) {
		if _, ok := q.(Read); ok {
			reads++
		}
	}
	r.expect("777; 204 next 778 of 1000")
	if reads > 12 {
		t.Errorf("%d reads", reads)
	}
}

func TestSearchGivesUpInALongStretchOfDamage(t *testing.T) {
	l := logOf([]int{1})
	for range 40 {
		l.commit(1)
		l.corrupt(l.last())
	}
	l.commit(1)
	newRig(t, l, `{"offset":5}`).expect("CORRUPT next 5 of 42")
}

// failAt makes the message at an offset one that cannot be sent.
func (r *rig) failAt(offset int64, code protocol.Code) {
	r.fails = func(m *Message) *protocol.Error {
		if m.Offset != offset {
			return nil
		}
		return protocol.NewError(code, "")
	}
}

func TestUnsendableMessageEndsFetch(t *testing.T) {
	for code, want := range map[protocol.Code]string{
		protocol.CodeMaxPayload:    "0; 1; MAX_PAYLOAD_EXCEEDED next 2 of 4",
		protocol.CodeUnavailable:   "0; 1; UNAVAILABLE next 2 of 4",
		protocol.CodeUndeliverable: "0; 1; UNDELIVERABLE next 3 of 4",
	} {
		// The end of what was asked for must not hide the failure.
		for _, request := range []string{`{"offset":0}`, `{"offset":0,"max_records":3}`} {
			r := newRig(t, logOf([]int{4}), request)
			r.failAt(2, code)
			r.expect(want)
		}
	}
	r := newRig(t, logOf([]int{4, 2}), `{"offset":2,"frames":true}`)
	r.failAt(0, protocol.CodeMaxPayload)
	r.expect("MAX_PAYLOAD_EXCEEDED next 2 of 6")
}

func TestRecordThatCannotBeSentAloneIsNamed(t *testing.T) {
	l := newLog()
	l.commitRecords([]protocol.Record{
		{Value: []byte("0")}, {Headers: []protocol.Header{{Name: "Line", Value: "one\r\ntwo"}}}, {Headers: []protocol.Header{{Name: protocol.HeaderSubject, Value: "a.b"}}, Value: []byte("2")},
	})
	newRig(t, l, `{"offset":0}`).expect("0; UNDELIVERABLE next 2 of 3")
	newRig(t, l, `{"offset":2}`).expect("2; 204 next 3 of 3")
	newRig(t, l, `{"offset":0,"frames":true}`).expect("[0 +3]; 204 next 3 of 3")
}

func TestLargeBatchIsSentInSteps(t *testing.T) {
	r := newRig(t, logOf([]int{10*maxSend + 1}), `{"offset":0}`)
	sent := 0
	r.saw = func(m *Message) {
		if m.Offset != int64(sent) {
			t.Fatalf("offset %d is message %d", m.Offset, sent)
		}
		sent++
	}
	if r.run(); sent != 10*maxSend+1 {
		t.Errorf("%d messages", sent)
	}
}

func TestMessagesWithoutAWindowAreBounded(t *testing.T) {
	l := newLog()
	l.commitRecords(make([]protocol.Record, MaxMessages+10))
	r := newRig(t, l, `{"offset":0}`)
	r.run()
	if got := describe(r.last); got != "204 next 65536 of 65546" {
		t.Errorf("it ended with %s", got)
	}
}

func TestMaxWait(t *testing.T) {
	r := newRig(t, logOf([]int{1}), `{"from":"latest","max_wait_ms":2000}`)
	r.expect("")
	if got := r.pass(1999 * time.Millisecond); got != "" {
		t.Fatalf("%q before the time is over", got)
	}
	if got := r.pass(time.Millisecond); got != "404 next 1 of 1" {
		t.Errorf("%q at the end of max_wait", got)
	}

	r = newRig(t, logOf([]int{1}), `{"from":"latest","max_wait_ms":2000}`)
	r.expect("")
	r.commits(2)
	r.expect("1; 2; 204 next 3 of 3")

	newRig(t, logOf([]int{1}), `{"offset":0,"max_wait_ms":2000}`).expect("0; 204 next 1 of 1")
}

func TestFetchEndsAtEndOfLogAtRequest(t *testing.T) {
	r := newRig(t, logOf([]int{2}, []int{2}), `{"offset":0,"window_bytes":2}`)
	r.expect("0; 1")
	r.commits(1)
	r.expect("2; 3; 204 next 4 of 5", word("2"))
}

func TestFollowWaitsForMore(t *testing.T) {
	r := newRig(t, logOf([]int{1}), `{"offset":0,"follow":true}`)
	r.expect("0")
	for n := 1; n < 5; n++ {
		r.commits(1)
		r.expect(fmt.Sprint(n))
	}
	r.log.skip(2)
	r.commits(1)
	r.expect("110 5-6 next 7 of 8; 7")
}

func TestFollowFromFutureTimeSkipsEarlierRecords(t *testing.T) {
	r := newRig(t, logOf([]int{1}), `{"time":"1970-01-01T00:00:00.000001030Z","follow":true}`)
	r.expect("")
	if got := r.pass(testSettings.Heartbeat); got != "100 next ? of 1" {
		t.Errorf("the heartbeat is %q", got)
	}
	r.commits(1) // 1020
	r.expect("")
	r.commits(1) // 1030
	r.expect("2")
}

// A consumer that was told of a gap knows its place. It takes records that are left out behind it for
// lost messages.
func TestNothingIsSkippedBehindAGapThatWasTold(t *testing.T) {
	r := newRig(t, logOf([]int{1}), `{"time":"1970-01-01T00:00:00.000001025Z","follow":true}`)
	r.commits(1) // 1020
	r.expect("")
	r.log.skip(2)
	r.commits() // 1030, a barrier
	r.expect("110 2-3 next 4 of 4")
	r.log.time = 0 // by the clock of another owner
	r.commits(1)
	r.expect("4")
}

func TestDamageEndsAFetchThatWaits(t *testing.T) {
	r := newRig(t, logOf([]int{1}), `{"offset":0,"follow":true}`)
	r.expect("0")
	r.end.SetReadOnly(protocol.NewError(protocol.CodePartitionDamaged, "its log ends with entry 1"))
	r.expect("PARTITION_DAMAGED 1-? next ? of 1")
}

func TestLogThatLostWhatWasDelivered(t *testing.T) {
	r := newRig(t, logOf([]int{1}, []int{1}), `{"offset":0,"follow":true}`)
	r.expect("0; 1")
	moves := r.end.Moves()
	r.log.entries = r.log.entries[:1]
	r.end.Renew(r.now, r.log.state(), moves)
	r.expect("OFFSET_OUT_OF_RANGE from 0 next 2 of 1")
}

func TestRenewedEndThatIsOnlyOlderEndsNothing(t *testing.T) {
	r := newRig(t, logOf([]int{1}), `{"offset":0,"follow":true}`)
	r.expect("0")
	before := r.log.clone()
	r.commits(1)
	r.expect("1")
	r.end.Renew(r.now, before.state(), r.end.Moves())
	r.expect("")
	r.log.commit(1)
	r.end.Advance(r.now, r.log.state())
	r.expect("2")
}

func TestEndFromOutsideIsToldAsItIs(t *testing.T) {
	for name, why := range map[string]*protocol.Error{
		"replaced": protocol.NewError(protocol.CodeNotOwner, "a younger frontend has taken over"),
		"stopping": protocol.NewError(protocol.CodeUnavailable, "the frontend is stopping"),
		"deleted":  protocol.NewError(protocol.CodeUnknownTopic, "the topic was deleted"),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, logOf([]int{2}), `{"offset":0,"follow":true}`)
			r.expect("0; 1")
			r.deleted = true // is not asked
			r.expect(why.Code.Kind().Name+" next 2 of 2", Closed{why}, word("cancel"))
			if r.last.Err != why {
				t.Errorf("it ended with %v", r.last.Err)
			}
		})
	}
}

func TestFailureBecauseOfADeletedTopicSaysSo(t *testing.T) {
	l := logOf([]int{1})
	l.payloadOf(0, corruptPayload())
	r := newRig(t, l, `{"offset":0}`)
	r.deleted = true
	r.expect("UNKNOWN_TOPIC next 0 of 1")
	// What the consumer has done wrong stays its error.
	r = newRig(t, l, `{"offset":5}`)
	r.deleted = true
	r.expect("OFFSET_OUT_OF_RANGE from 0 next 5 of 1")
}

func TestFailedQuestionEndsTheFetch(t *testing.T) {
	unavailable := protocol.NewError(protocol.CodeUnavailable, "no leader")
	for _, start := range []string{`{"offset":1}`, `{"time":"1970-01-01T00:00:00.000001020Z"}`, `{"from":"earliest"}`} {
		for failing := range 8 {
			r := newRig(t, logOf([]int{1}, []int{1}, []int{1}), start)
			fx := r.core.Step(r.now, nil)
			for asked := 0; asked < failing && fx.End == nil; asked++ {
				r.events = nil
				r.answer(fx.Ask)
				fx = r.core.Step(r.now, append([]Event{Moved{r.end.Known()}}, r.events...))
			}
			if fx.Ask == nil {
				break // everything was delivered
			}
			fx = r.core.Step(r.now, []Event{Failed{Err: unavailable}})
			if _, ok := fx.Ask.(IsDeleted); !ok {
				t.Fatalf("%s, question %d fails: %+v", start, failing, fx)
			}
			if fx = r.core.Step(r.now, []Event{Deleted{}}); fx.End == nil || fx.End.Err != unavailable {
				t.Errorf("%s, question %d fails: %+v", start, failing, fx)
			}
		}
	}
}

func TestAnswerToNoQuestionIsIgnored(t *testing.T) {
	r := newRig(t, logOf([]int{1}), `{"offset":0,"follow":true}`)
	r.expect("0")
	r.expect("", Entries{}, Loaded{}, Failed{Err: protocol.NewError(protocol.CodeInternal, "")}, Deleted{true}, LookedUp{})
}

func TestRefusedRequestNamesTheEndIfItIsKnown(t *testing.T) {
	err := protocol.NewError(protocol.CodeTooManyFetches, "")
	for want, known := range map[string]Known{
		"TOO_MANY_FETCHES next ? of ?": {},
		"TOO_MANY_FETCHES next ? of 7": {LogState: LogState{Offset: 7}, Valid: true},
	} {
		if s := Refuse(err, known); describe(&s) != want {
			t.Errorf("%s, want %s", describe(&s), want)
		}
	}
}
