package fetch

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestStartBelowTheLogStartNamesIt(t *testing.T) {
	l := archivedLog(20, 10)
	l.truncate(5)
	newRig(t, l, `{"offset":4}`).expect("OFFSET_OUT_OF_RANGE 4-4 from 5 next 5 of 20")
	newRig(t, l, `{"offset":-1}`).expect("OFFSET_OUT_OF_RANGE from 5 next -1 of 20")
	newRig(t, l, `{"offset":21}`).expect("OFFSET_OUT_OF_RANGE from 5 next 21 of 20")
	newRig(t, l, `{"offset":5}`).expect(numbers(5, 20))
	newRig(t, l, `{"from":"earliest"}`).expect(numbers(5, 20))
	for _, nanos := range []int{0, 1010, 1050, 1060} { // offset 5 is of 1060
		newRig(t, l, fmt.Sprintf(`{"time":"1970-01-01T00:00:00.%09dZ"}`, nanos)).expect(numbers(5, 20))
	}
	newRig(t, l, `{"time":"1970-01-01T00:00:00.000001061Z"}`).expect(numbers(6, 20))
	l.truncate(10)
	newRig(t, l, `{"offset":9}`).expect("OFFSET_OUT_OF_RANGE 9-9 from 10 next 10 of 20")
	newRig(t, l, `{"from":"earliest"}`).expect(numbers(10, 20))
	newRig(t, l, `{"time":"1970-01-01T00:00:00Z"}`).expect(numbers(10, 20))
	newRig(t, l, `{"time":"1970-01-01T00:00:00.000001050Z"}`).expect(numbers(10, 20))
}

// A batch that is partly below the log start is in a page, and in a segment, as a whole.
func TestLogStartsWithinABatch(t *testing.T) {
	for _, request := range []string{`{"offset":3}`, `{"from":"earliest"}`, `{"time":"1970-01-01T00:00:00Z"}`, `{"time":"1970-01-01T00:00:00.00000101Z"}`} {
		l := logOf([]int{2, 4, 1}, []int{1})
		l.archiveUpTo(forever)
		l.purge()
		l.truncate(3)
		newRig(t, l, request).expect("3; 4; 5; 6; 7; 204 next 8 of 8")
	}
}

func TestFollowerIsToldWhereALogStartsThatHasOvertakenIt(t *testing.T) {
	l := archivedLog(20, 10)
	l.absent = true
	r := newRig(t, l, `{"offset":2,"follow":true}`)
	r.expect("")
	l.truncate(5)
	r.advance()
	l.absent = false
	if told := r.pass(time.Minute); told != "OFFSET_OUT_OF_RANGE 2-4 from 5 next 5 of 20" {
		t.Errorf("sent %q", told)
	}
}

func TestConsumerWithoutCreditIsToldThatItWasOvertaken(t *testing.T) {
	for _, start := range []string{`"offset":2`, `"from":"earliest"`, `"time":"1970-01-01T00:00:00.00000103Z"`} {
		l := archivedLog(20, 10)
		r := newRig(t, l, `{`+start+`,"window_bytes":1}`)
		var next int64
		r.saw = func(m *Message) { next = m.Offset + 1 }
		r.run()
		l.truncate(5)
		r.advance()
		r.expect(fmt.Sprintf("OFFSET_OUT_OF_RANGE %d-4 from 5 next 5 of 20", next))
	}
}

// Nothing that is left is reported as gone, and nothing that is gone as damaged or unavailable.
func TestFetchThatIsOvertakenNamesWhatIsGone(t *testing.T) {
	for _, request := range []string{`{"offset":2}`, `{"offset":2,"follow":true}`, `{"offset":2,"frames":true}`} {
		for start := int64(3); start <= 10; start++ {
			for question := range 12 {
				l := archivedLog(20, 10)
				r := newRig(t, l, request)
				at := int64(2)
				r.saw = func(m *Message) {
					if m.Status == nil {
						at = m.Offset + 1
					}
				}
				asked := 0
				r.asks = func(Question) {
					if asked == question {
						l.truncate(start)
					}
					asked++
				}
				r.run()
				switch {
				case r.last == nil && at == 20, r.last != nil && r.last.Err == nil && at == 20:
				case r.last != nil && describe(r.last) == fmt.Sprintf("OFFSET_OUT_OF_RANGE %d-%d from %d next %d of 20", at, start-1, start, start):
				default:
					t.Errorf("%s, log start %d before question %d: at %d, ended with %+v", request, start, question, at, r.last)
				}
			}
		}
	}
}

func TestStartThatIsOvertakenIsFoundAgain(t *testing.T) {
	for _, request := range []string{`{"from":"earliest"}`, `{"from":"earliest","follow":true}`, `{"time":"1970-01-01T00:00:00Z"}`, `{"time":"1970-01-01T00:00:00.00000103Z"}`} {
		for n := range 24 {
			question, once := n/2, n%2 == 0
			l := archivedLog(20, 10)
			r := newRig(t, l, request)
			asked := 0
			r.asks = func(Question) {
				if asked++; (asked == question || asked < question && !once) && !r.core.started && l.history.Start < 10 {
					l.truncate(l.history.Start + 4)
				}
			}
			out := strings.TrimSuffix(r.run(), "; 204 next 20 of 20")
			if r.last != nil && r.last.Err != nil && r.core.records > 0 && r.last.GapFrom == r.core.startedAt+r.core.records {
				continue // it was overtaken after its start
			}
			if want := strings.TrimSuffix(numbers(int(max(r.core.startedAt, 0)), 20), "; 204 next 20 of 20"); out != want {
				t.Errorf("%s, overtaken at question %d, once %t: sent %q, want %q", request, question, once, out, want)
			}
		}
	}
}

// Otherwise the consumer would know a place that the fetch may leave.
func TestHeartbeatNamesNoPlaceBeforeTheFetchIsSureOfIt(t *testing.T) {
	for request, want := range map[string]string{
		`{"from":"earliest","follow":true}`:             "100 next ? of 0",
		`{"time":"1970-01-01T00:00:00Z","follow":true}`: "100 next ? of 0",
		`{"from":"latest","follow":true}`:               "100 next 0 of 0",
		`{"offset":0,"follow":true}`:                    "100 next 0 of 0",
	} {
		r := newRig(t, logOf([]int{}), request)
		r.expect("")
		if told := r.pass(testSettings.Heartbeat); told != want {
			t.Errorf("%s: %q, want %q", request, told, want)
		}
	}
}

func TestRestOfAHistoryWithoutRecordsIsNotRead(t *testing.T) {
	l := archivedLog(5, 0)
	l.commit()
	l.commit() // no records
	l.archiveUpTo(7)
	l.purge()
	l.commit(1)
	l.truncate(5) // the history has no segment left
	r := newRig(t, l, `{"offset":5}`)
	r.asks = func(q Question) {
		if historyOf(q).Archived() {
			t.Errorf("it asks %+v", q)
		}
	}
	r.expect(numbers(5, 6))
}
