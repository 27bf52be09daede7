package fetch

import (
	"strings"
	"testing"
	"time"

	"laneway.dev/pkg/protocol"
)

// away is a payload that the store does not return now.
func away() Payload {
	return Payload{Err: protocol.NewError(protocol.CodeStoreUnavailable, "it asks for fewer requests")}
}

// storeAway returns a rig whose store does not return the batch at offset 1, and a function
// with which the store is back.
func storeAway(t *testing.T, request string) (r *rig, back func()) {
	t.Helper()
	l := logOf([]int{1, 2, 1})
	whole := l.payloads[1]
	l.payloadOf(1, away())
	return newRig(t, l, request), func() { l.payloadOf(1, whole) }
}

func TestPacedFetchOutlastsTheStore(t *testing.T) {
	r, back := storeAway(t, `{"offset":0,"window_bytes":100}`)
	r.expect("0")
	for range 60 { // five minutes
		if told := r.pass(testSettings.Heartbeat); told != "100 next 1 of 4" && told != "" {
			t.Fatalf("%q", told)
		}
		if told := r.run(word("1")); told != "" {
			t.Fatalf("%q", told)
		}
	}
	back()
	if told := r.pass(2 * longestPause); told != "1; 2; 3; 204 next 4 of 4" {
		t.Errorf("after the store is back: %q", told)
	}
}

func TestSilentConsumerIsGivenUpWhileTheStoreIsAway(t *testing.T) {
	r, _ := storeAway(t, `{"offset":0,"window_bytes":100}`)
	r.expect("0")
	want := strings.Repeat("100 next 1 of 4; ", 5) + "CREDIT_TIMEOUT next 1 of 4"
	if told := r.pass(testSettings.CreditTimeout); told != want {
		t.Errorf("%q", told)
	}
}

func TestFetchWithoutHeartbeatsEndsWhenTheStoreIsAway(t *testing.T) {
	r, _ := storeAway(t, `{"offset":0}`)
	r.expect("0")
	if told := r.pass(testSettings.StorePatience - time.Millisecond); told != "" {
		t.Fatalf("%q", told)
	}
	if told := r.pass(time.Millisecond); told != "STORE_UNAVAILABLE next 1 of 4" {
		t.Fatalf("%q", told)
	}
	if !strings.Contains(r.last.Description, "fewer requests") {
		t.Errorf("the cause is missing: %s", r.last.Description)
	}
}

func TestLoadsBackOff(t *testing.T) {
	r, back := storeAway(t, `{"offset":0,"follow":true}`)
	var asked []time.Time
	var extents []int
	r.asks = func(q Question) {
		if l, ok := q.(Load); ok {
			asked, extents = append(asked, r.now), append(extents, len(l.Extents))
		}
	}
	r.run()
	r.pass(20 * time.Second)
	var pauses []time.Duration
	for i := range asked[1:] {
		pauses = append(pauses, asked[i+1].Sub(asked[i]))
	}
	for i, ms := range []int{100, 200, 400, 800, 1600, 3200, 5000, 5000} {
		if want := time.Duration(ms) * time.Millisecond; i >= len(pauses) || pauses[i] != want {
			t.Fatalf("pauses %v", pauses)
		}
	}
	if extents[0] != 3 || extents[1] != 1 || extents[5] != 1 {
		t.Errorf("batches of each load: %v", extents)
	}
	back()
	asked = nil
	r.pass(longestPause)
	if r.core.retry.failures != 0 || r.core.offset != 4 {
		t.Errorf("%d failures at offset %d after the store is back", r.core.retry.failures, r.core.offset)
	}
}

func TestCreditDuringALoadCounts(t *testing.T) {
	r, back := storeAway(t, `{"offset":0,"window_bytes":2}`)
	r.expect("0")
	r.expect("", word("1"))
	back()
	if told := r.pass(time.Second); told != "1; 2" {
		t.Errorf("%q", told)
	}
	r.expect("3; 204 next 4 of 4", word("3"))
}

// openLoad steps a fetch up to its first load, which is not answered.
func openLoad(t *testing.T, request string) *rig {
	t.Helper()
	r := newRig(t, logOf([]int{1}), request)
	r.core.Step(r.now, nil)
	r.core.Step(r.now, []Event{LookedUp{r.log.state()}})
	fx := r.core.Step(r.now, []Event{r.log.read(Read{From: 1, Limit: 1})})
	if _, ok := fx.Ask.(Load); !ok {
		t.Fatalf("%+v", fx)
	}
	r.wake = fx.Wake
	r.advance()
	return r
}

func TestHeartbeatsDuringALongLoad(t *testing.T) {
	r := openLoad(t, `{"from":"earliest","follow":true}`)
	for range 20 {
		if told := r.pass(testSettings.Heartbeat); told != "100 next ? of 1" {
			t.Fatalf("%q", told)
		}
		r.expect("", word("0"))
	}
	r.expect("0", Loaded{Payloads: []Payload{r.log.payloads[0]}})
}

func TestLongLoadWithoutHeartbeatsEndsTheFetch(t *testing.T) {
	r := openLoad(t, `{"from":"earliest"}`)
	if told := r.pass(testSettings.StorePatience); told != "STORE_UNAVAILABLE next 0 of 1" {
		t.Errorf("%q", told)
	}
}

func TestFailedSendDuringALoadEndsTheFetchAtOnce(t *testing.T) {
	r := openLoad(t, `{"from":"earliest","follow":true}`)
	r.now = r.wake
	fx := r.core.Step(r.now, nil)
	if len(fx.Send) != 1 {
		t.Fatalf("%+v", fx)
	}
	fx = r.core.Step(r.now, []Event{SendFailed{0, protocol.NewError(protocol.CodeUnavailable, "")}})
	if fx.End == nil || fx.End.Err.Code != protocol.CodeUnavailable {
		t.Errorf("%+v", fx)
	}
}

func TestDamageIsReportedAfterTheStoreIsBack(t *testing.T) {
	r, _ := storeAway(t, `{"offset":0,"follow":true}`)
	r.expect("0")
	r.log.payloadOf(1, corruptPayload())
	if told := r.pass(time.Second); told != "CORRUPT 1-2 next 3 of 4" {
		t.Errorf("%q", told)
	}
}
