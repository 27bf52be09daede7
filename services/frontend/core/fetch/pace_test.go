package fetch

import (
	"strings"
	"testing"
	"time"

	"laneway.dev/pkg/protocol"
)

func TestFetchPausesWithoutCredit(t *testing.T) {
	r := newRig(t, logOf([]int{1}, []int{1}, []int{1}, []int{3}, []int{1}), `{"offset":0,"window_bytes":2}`)
	r.expect("0; 1")
	r.expect("2", word("1"))
	r.expect("3; 4; 5", word("3")) // a batch may exceed what is left
	r.expect("", word("4"))
	r.expect("6; 204 next 7 of 7", word("5"))
}

func TestNextCreditMakesUpForALostOne(t *testing.T) {
	r := newRig(t, logOf([]int{1}, []int{1}, []int{1}, []int{1}), `{"offset":0,"window_bytes":2}`)
	r.expect("0; 1")
	// A credit of 1 is lost.
	r.expect("2; 3; 204 next 4 of 4", word("2"))
}

func TestOlderCreditTakesNothingAway(t *testing.T) {
	r := newRig(t, logOf([]int{1}, []int{1}, []int{1}, []int{1}), `{"offset":0,"window_bytes":1}`)
	r.expect("0")
	r.expect("1", word("1"))
	r.expect("", word("0"))
	r.expect("2", word("2"))
}

func TestCreditNeverExceedsTheWindow(t *testing.T) {
	for window, want := range map[int64]int64{100: 100, 0: unlimited} {
		p := newPace(window, Settings{}, time.Time{})
		p.spend(60, time.Time{})
		p.grant([]byte("9223372036854775807"), time.Time{})
		if p.credit() != want {
			t.Errorf("credit %d, wanted %d", p.credit(), want)
		}
	}
}

func TestWordThatIsNoCreditEndsTheFetch(t *testing.T) {
	for _, text := range []string{"", "x", "-1", "1.5", "99999999999999999999", "cancel!"} {
		r := newRig(t, logOf([]int{1}), `{"offset":0,"follow":true}`)
		r.expect("0")
		r.expect("INVALID_REQUEST next 1 of 1", word(text))
	}
	r := newRig(t, logOf([]int{1}), `{"offset":0,"follow":true}`)
	r.expect("0")
	r.expect("HEADER_INVALID next 1 of 1", Control{Err: protocol.NewError(protocol.CodeHeaderInvalid, "")})
}

func TestCancelledFetchEndsWell(t *testing.T) {
	for name, request := range map[string]string{"out of credit": `{"offset":0,"window_bytes":1}`, "at the end": `{"offset":0,"follow":true,"max_records":3}`} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, logOf([]int{1}, []int{1}), request)
			r.run()
			next := r.core.offset
			r.expect("205 next "+offset(next)+" of 2", word(protocol.CancelFetch))
		})
	}
	r := newRig(t, logOf([]int{1}), `{"offset":0,"follow":true}`)
	r.core.Step(r.now, nil)
	fx := r.core.Step(r.now, []Event{word(protocol.CancelFetch), LookedUp{r.log.state()}})
	if fx.End == nil || fx.End.Code != protocol.StatusCancelled {
		t.Errorf("cancelled while a question is open: %+v", fx)
	}
}

func TestHeartbeatsWhileTheConsumerAnswers(t *testing.T) {
	r := newRig(t, logOf([]int{1}), `{"offset":0,"follow":true}`)
	r.expect("0")
	for range 20 {
		if got := r.pass(testSettings.Heartbeat); got != "100 next 1 of 1" {
			t.Fatalf("%q", got)
		}
		r.expect("", word("0"))
	}
}

func TestSilentConsumerIsGivenUp(t *testing.T) {
	for name, request := range map[string]string{
		"out of credit": `{"offset":0,"window_bytes":1}`, "at the end": `{"offset":0,"follow":true}`,
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, logOf([]int{1}, []int{1}), request)
			r.run()
			next := offset(r.core.offset)
			beats := strings.Repeat("100 next "+next+" of 2; ", 5)
			if got := r.pass(testSettings.CreditTimeout); got != beats+"CREDIT_TIMEOUT next "+next+" of 2" {
				t.Errorf("%q", got)
			}
		})
	}
}

func TestHeartbeatFindsACommitThatWasMissed(t *testing.T) {
	r := newRig(t, logOf([]int{1}), `{"offset":0,"follow":true}`)
	r.expect("0")
	r.log.commit(1)
	r.expect("")
	if got := r.pass(testSettings.Heartbeat); got != "100 next 1 of 1; 1" {
		t.Errorf("%q", got)
	}
}

func TestEmptyRecordsWaitForAWord(t *testing.T) {
	l := newLog()
	l.commitRecords(make([]protocol.Record, MaxUnanswered))
	l.commit(1)
	r := newRig(t, l, `{"offset":0,"window_bytes":1000}`)
	sent := 0
	r.saw = func(*Message) { sent++ }
	r.run()
	if sent != MaxUnanswered+1 { // with a heartbeat
		t.Errorf("%d messages", sent)
	}
	r.expect("16384; 204 next 16385 of 16385", word("0"))
}

func TestDisconnectionEndsUnconfirmedFetch(t *testing.T) {
	for _, c := range []struct {
		name, request string
		words         []Event
		ends          bool
	}{
		{"credit is missing", `{"offset":0,"window_bytes":10,"follow":true}`, nil, true},
		{"all credit is back", `{"offset":0,"window_bytes":10,"follow":true}`, []Event{word("1")}, false},
		{"nothing was sent", `{"from":"latest","follow":true}`, nil, false},
		{"without credit, nothing was sent", `{"from":"latest","max_wait_ms":1000}`, nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, logOf([]int{1}), c.request)
			r.run(c.words...)
			r.run(c.words...)
			if r.run(Disconnected{}); (r.last != nil) != c.ends {
				t.Fatalf("the last status is %v", r.last)
			}
			if c.ends && (r.last.Err == nil || r.last.Err.Code != protocol.CodeUnavailable) {
				t.Errorf("it ended with %s", describe(r.last))
			}
		})
	}
}

func TestDisconnectionWithoutCreditBetweenTwoSteps(t *testing.T) {
	r := newRig(t, logOf([]int{2 * maxSend}), `{"offset":0}`)
	var fx Effects
	for fx = r.core.Step(r.now, nil); len(fx.Send) == 0; fx = r.core.Step(r.now, r.events) {
		r.events = nil
		r.answer(fx.Ask)
	}
	fx = r.core.Step(r.now, []Event{Disconnected{}})
	if fx.End == nil || fx.End.Err.Code != protocol.CodeUnavailable {
		t.Errorf("%+v", fx)
	}
}

func TestPace(t *testing.T) {
	start := time.Unix(1000, 0)
	at := func(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }
	p := newPace(100, testSettings, start)
	expect := func(now int, want due) {
		t.Helper()
		if got, due := p.next(at(now)); got != want || want == nothing && !due.After(at(now)) {
			t.Fatalf("at %d: %d, due %v", now, got, due)
		}
	}
	expect(4, nothing)
	expect(5, heartbeat)
	p.heartbeatSent(at(5))
	expect(6, nothing)
	p.grant([]byte("0"), at(6))
	expect(9, nothing)
	p.sent = at(9) // data flows, but the consumer says nothing
	expect(11, heartbeat)
	p.heartbeatSent(at(11))
	for beats := 16; beats < 36; beats += 5 {
		p.sent = at(beats - 1)
		expect(beats-1, nothing)
		expect(beats, heartbeat)
		p.heartbeatSent(at(beats))
	}
	expect(36, consumerGone)
	p.grant([]byte("0"), at(36))
	p.unanswered = MaxUnanswered
	expect(36, heartbeat)
	p.heartbeatSent(at(36))
	expect(37, nothing)
}
