package delivery_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"laneway.dev/pkg/delivery"
	"laneway.dev/pkg/protocol"
)

var (
	busy       = protocol.NewError(protocol.CodeOverloaded, "")
	outOfOrder = protocol.NewError(protocol.CodeOutOfOrderSequence, "")

	outOfOrderFinal = protocol.NewError(protocol.CodeOutOfOrderFinal, "")
)

// script drives a window in virtual time.
type script struct {
	*delivery.Window[string]
	t   *testing.T
	now time.Time
}

func newScript(t *testing.T, s delivery.Settings) *script {
	if s.Random == nil {
		s.Random = func() float64 { return 0.5 }
	}
	return &script{delivery.New[string](s), t, time.Unix(0, 0)}
}

// add adds batches of ten records each.
func (s *script) add(names ...string) {
	s.t.Helper()
	for _, name := range names {
		if err := s.Add(s.now, name, 10); err != nil {
			s.t.Fatalf("add %s: %v", name, err)
		}
	}
}

// sent makes all attempts that the window wants, and checks their batches.
func (s *script) sent(want ...string) map[string]delivery.Send[string] {
	s.t.Helper()
	sends := make(map[string]delivery.Send[string])
	var names []string
	for send, ok := s.Next(s.now); ok; send, ok = s.Next(s.now) {
		sends[send.Batch] = send
		names = append(names, send.Batch)
	}
	if diff := cmp.Diff(want, names); diff != "" {
		s.t.Fatalf("sent (-want +got):\n%s", diff)
	}
	return sends
}

// wakes advances the time to that of Wake, and checks how long that takes.
func (s *script) wakes(after time.Duration) {
	s.t.Helper()
	at, ok := s.Wake()
	if !ok || at.Sub(s.now) != after {
		s.t.Fatalf("wakes after %s (%v), want %s", at.Sub(s.now), ok, after)
	}
	s.now = at
}

func (s *script) ok(sends ...delivery.Send[string]) {
	s.t.Helper()
	for _, send := range sends {
		if batch, ok := s.Batch(send.ID); !ok || batch != send.Batch {
			s.t.Fatalf("OK of %s: %q, %v", send.Batch, batch, ok)
		}
		s.OK(s.now, send.ID)
	}
}

func (s *script) refuse(send delivery.Send[string], err *protocol.Error) {
	s.Refused(s.now, send.ID, err)
}

func drain(take func() (string, bool)) string {
	var all []string
	for batch, ok := take(); ok; batch, ok = take() {
		all = append(all, batch)
	}
	return strings.Join(all, " ")
}

func (s *script) settled(acked, failed string) {
	s.t.Helper()
	if got := drain(s.Acked); got != acked {
		s.t.Errorf("acked are %q, want %q", got, acked)
	}
	if got := drain(s.Failed); got != failed {
		s.t.Errorf("failed are %q, want %q", got, failed)
	}
}

// fails checks that the window has failed for good.
func (s *script) fails(code protocol.Code) {
	s.t.Helper()
	if err, ok := s.Err().(*protocol.Error); !ok || err.Code != code { //nolint:errorlint // the documented type
		s.t.Fatalf("error %v, want %s", s.Err(), code.Kind().Name)
	}
	if _, ok := s.Wake(); ok || s.Room() || s.Add(s.now, "late", 1) != s.Err() { //nolint:errorlint // the very same
		s.t.Error("a failed window still works")
	}
	s.sent()
}

func TestSequencesAreConsecutiveAndWrap(t *testing.T) {
	s := newScript(t, delivery.Settings{First: math.MaxInt32 - 14})
	s.add("a", "b", "c")
	sends := s.sent("a", "b", "c")
	for name, want := range map[string]int32{"a": math.MaxInt32 - 14, "b": math.MaxInt32 - 4, "c": 5} {
		if send := sends[name]; send.Sequence != want || send.FirstUnacked != math.MaxInt32-14 {
			t.Errorf("%+v, want sequence %d", send, want)
		}
	}
}

func TestSpanStartsAtLowestUnacked(t *testing.T) {
	s := newScript(t, delivery.Settings{})
	s.add("a", "b", "c", "d", "e")
	sends := s.sent("a", "b", "c", "d", "e")
	s.ok(sends["b"], sends["c"], sends["d"], sends["e"])
	if s.Room() || s.Unacked() != 1 {
		t.Fatal("there is room although a has no OK")
	}
	if err := s.Add(s.now, "f", 1); err != delivery.ErrNoRoom { //nolint:errorlint // the very same
		t.Fatalf("error %v", err)
	}
	s.settled("", "")
	s.ok(sends["a"])
	s.settled("a b c d e", "")
	s.add("f", "g", "h", "i", "j")
	if send := s.sent("f", "g", "h", "i", "j")["f"]; send.Sequence != 50 || send.FirstUnacked != 50 {
		t.Errorf("%+v", send)
	}
}

func TestBatchesSettingBoundsFlight(t *testing.T) {
	s := newScript(t, delivery.Settings{Batches: 1})
	s.add("a")
	if s.Room() {
		t.Error("there is room for a second batch")
	}
}

func TestRetriesInOrderWhenNothingIsInFlight(t *testing.T) {
	s := newScript(t, delivery.Settings{})
	s.add("a", "b", "c", "d")
	first := s.sent("a", "b", "c", "d")
	s.refuse(first["b"], busy)
	if s.Room() {
		t.Error("there is room while a failure is held")
	}
	s.sent()
	s.ok(first["a"])
	s.refuse(first["c"], outOfOrder)
	s.sent()
	s.wakes(delivery.DefaultMinAttemptTimeout) // of d
	s.sent()
	s.wakes(delivery.DefaultMinBackoff / 2)
	second := s.sent("b", "c", "d")
	for name, want := range map[string]int32{"b": 10, "c": 20, "d": 30} {
		if send := second[name]; send.Sequence != want || send.FirstUnacked != 10 || send.Attempt != 1 {
			t.Errorf("%+v, want sequence %d", send, want)
		}
	}
	s.ok(second["b"], second["c"], second["d"])
	s.settled("a b c d", "")
}

func TestAgainReportsEarliestFailure(t *testing.T) {
	s := newScript(t, delivery.Settings{})
	again := func(want *protocol.Error) {
		t.Helper()
		if why, ok := s.Again(); why != want || ok != (want != nil) {
			t.Errorf("Again returns %v, want %v", why, want)
		}
		if _, ok := s.Again(); ok {
			t.Error("Again reports it twice")
		}
	}
	s.add("a", "b")
	first := s.sent("a", "b")
	again(nil)
	s.refuse(first["a"], busy)
	again(busy)
	s.refuse(first["b"], outOfOrder)
	s.wakes(delivery.DefaultMinBackoff / 2)
	second := s.sent("a", "b")
	again(nil)
	s.Disconnect(s.now)
	if why, ok := s.Again(); !ok || why.Code != protocol.CodeOutcomeUnknown {
		t.Errorf("Again returns %v", why)
	}
	s.Reconnect()
	s.ok(second["a"], second["b"])
	s.add("c")
	c := s.sent("c")["c"]
	s.wakes(delivery.DefaultMinAttemptTimeout)
	s.Advance(s.now)
	s.ok(c) // late, but nothing is left to send again
	again(nil)
}

func TestAckedBatchIsNotSentAgain(t *testing.T) {
	s := newScript(t, delivery.Settings{})
	s.add("a", "b", "c")
	first := s.sent("a", "b", "c")
	s.ok(first["b"])
	s.refuse(first["a"], busy)
	s.refuse(first["c"], busy)
	s.wakes(delivery.DefaultMinBackoff / 2)
	again := s.sent("a", "c")
	s.ok(again["c"], again["a"])
	s.settled("a b c", "")
}

func TestUnsentBatchHoldsLaterOnes(t *testing.T) {
	s := newScript(t, delivery.Settings{})
	s.add("a", "b")
	send, _ := s.Next(s.now)
	s.refuse(send, protocol.NewError(protocol.CodeUnavailable, "not connected"))
	s.sent()
	s.wakes(delivery.DefaultMinBackoff / 2)
	s.sent("a", "b")
}

func TestOnlyFinalOutOfOrderIsFatal(t *testing.T) {
	s := newScript(t, delivery.Settings{})
	s.add("a", "b", "c")
	first := s.sent("a", "b", "c")
	s.ok(first["a"])
	// b is the lowest batch without an OK, but was not when it was sent.
	s.refuse(first["b"], outOfOrder)
	s.refuse(first["c"], outOfOrder)
	s.wakes(delivery.DefaultMinBackoff / 2)
	second := s.sent("b", "c")
	s.refuse(second["c"], outOfOrder)
	s.sent()
	s.refuse(second["b"], outOfOrderFinal)
	s.fails(protocol.CodeOutOfOrderFinal)
	s.settled("a", "b c")
}

func TestFatalErrorFailsWindow(t *testing.T) {
	for _, code := range protocol.Codes() {
		if code.Kind().Retryable {
			continue
		}
		s := newScript(t, delivery.Settings{})
		s.add("a", "b", "c")
		sends := s.sent("a", "b", "c")
		s.ok(sends["c"])
		s.refuse(sends["b"], protocol.NewError(code, ""))
		s.fails(code)
		s.settled("c", "a b")
	}
}

func TestLateOKCountsAndLateRefusalDoesNot(t *testing.T) {
	s := newScript(t, delivery.Settings{})
	s.add("a", "b")
	first := s.sent("a", "b")
	s.wakes(delivery.DefaultMinAttemptTimeout)
	s.sent()
	s.refuse(first["a"], protocol.NewError(protocol.CodeInvalidEpoch, "")) // this attempt was given up
	s.wakes(delivery.DefaultMinBackoff / 2)
	second := s.sent("a", "b")
	s.refuse(first["a"], protocol.NewError(protocol.CodeInvalidEpoch, ""))
	s.ok(first["a"])
	if _, ok := s.Batch(second["a"].ID); ok {
		t.Error("an acked batch can get a second OK")
	}
	s.OK(s.now, second["a"].ID)
	s.refuse(second["a"], protocol.NewError(protocol.CodeInternal, ""))
	s.ok(second["b"])
	s.settled("a b", "")
	if s.Err() != nil || s.Unacked() != 0 {
		t.Errorf("error %v, %d unacked", s.Err(), s.Unacked())
	}
}

func TestBackoffDoublesUntilOK(t *testing.T) {
	s := newScript(t, delivery.Settings{DeliveryTimeout: time.Hour, MinBackoff: 100 * time.Millisecond, MaxBackoff: 350 * time.Millisecond})
	s.add("a")
	for _, pause := range []time.Duration{50, 100, 175, 175} {
		s.refuse(s.sent("a")["a"], busy)
		s.wakes(pause * time.Millisecond)
	}
	s.ok(s.sent("a")["a"])
	s.add("b")
	s.refuse(s.sent("b")["b"], busy)
	s.wakes(50 * time.Millisecond)
}

func TestTimeoutDoublesAfterTimeout(t *testing.T) {
	s := newScript(t, delivery.Settings{DeliveryTimeout: time.Hour, Random: func() float64 { return 0 }})
	s.add("a", "b")
	for _, timeout := range []time.Duration{5, 10, 20, 35, 35} {
		s.sent("a", "b")
		s.wakes(timeout * time.Second)
	}
	sends := s.sent("a", "b")
	s.now = s.now.Add(2 * time.Second)
	s.ok(sends["a"], sends["b"])
	s.add("c")
	s.sent("c")
	s.wakes(8 * time.Second) // four times the latency of the OK
}

func TestFailedWindowIgnoresDisconnect(t *testing.T) {
	s := newScript(t, delivery.Settings{})
	s.add("a")
	s.sent("a")
	s.Fail(protocol.NewError(protocol.CodeInternal, ""))
	s.Disconnect(s.now)
	s.Reconnect()
	if s.Room() {
		t.Error("there is room after a failure")
	}
}

func TestLateOKsEndHold(t *testing.T) {
	s := newScript(t, delivery.Settings{})
	s.add("a", "b")
	sends := s.sent("a", "b")
	s.now = s.now.Add(time.Minute) // as if the process had been stopped
	s.sent()
	s.ok(sends["a"], sends["b"])
	s.add("c")
	s.sent("c")
}

func TestDisconnectFailsAttemptsInFlight(t *testing.T) {
	s := newScript(t, delivery.Settings{})
	s.add("a", "b")
	s.sent("a", "b")
	s.Disconnect(s.now)
	if s.Room() {
		t.Error("there is room while batches are to be sent again")
	}
	s.wakes(delivery.DefaultDeliveryTimeout)
	s.now = time.Unix(1, 0)
	s.sent()
	s.Disconnect(s.now)
	s.Reconnect()
	again := s.sent("a", "b")
	s.ok(again["a"], again["b"])

	s.Disconnect(s.now) // with nothing in flight
	s.Reconnect()
	s.add("c")
	s.sent("c")
}

func TestBatchAddedWhileDisconnectedTimesOut(t *testing.T) {
	s := newScript(t, delivery.Settings{DeliveryTimeout: 4 * time.Second})
	s.Disconnect(s.now)
	s.add("a", "b")
	s.sent()
	s.now = s.now.Add(time.Second)
	s.Reconnect()
	first := s.sent("a", "b")
	s.ok(first["a"], first["b"])
	s.settled("a b", "")

	s.Disconnect(s.now)
	s.add("c")
	s.wakes(4 * time.Second)
	s.sent()
	s.fails(protocol.CodeUnavailable)
	s.settled("", "c")
}

func TestDeliveryTimeoutFailsLowestBatch(t *testing.T) {
	full := protocol.NewError(protocol.CodeTooManyProducers, "10 of 10")
	for name, c := range map[string]struct {
		meanwhile func(*script)
		code      protocol.Code
		says      string
		absent    bool
	}{
		"never sent":        {func(s *script) { s.Disconnect(s.now); s.add("a") }, protocol.CodeUnavailable, "in 0 attempts: it was never sent", true},
		"no answer":         {func(s *script) { s.add("a"); s.sent("a") }, protocol.CodeOutcomeUnknown, "in 1 attempt: nothing was answered", false},
		"always refused":    {func(s *script) { s.add("a"); s.refuse(s.sent("a")["a"], busy) }, protocol.CodeOverloaded, "in 1 attempt", true},
		"refused variously": {func(s *script) { s.refuseTwice(busy, full) }, protocol.CodeTooManyProducers, "in 2 attempts: 10 of 10", true},
		"refused, once without knowing": {
			func(s *script) { s.refuseTwice(protocol.NewError(protocol.CodeOutcomeUnknown, ""), full) },
			protocol.CodeOutcomeUnknown, "in 2 attempts; the last one ended with " + full.Error(), false,
		},
		"lost, then refused": {func(s *script) {
			s.add("a")
			s.sent("a")
			s.Disconnect(s.now)
			s.Reconnect()
			s.wakes(delivery.DefaultMinBackoff / 2)
			s.refuse(s.sent("a")["a"], busy)
		}, protocol.CodeOutcomeUnknown, "in 2 attempts; the last one ended with " + busy.Error(), false},
		"refused, then no answer": {func(s *script) {
			s.add("a")
			s.refuse(s.sent("a")["a"], busy)
			s.wakes(delivery.DefaultMinBackoff / 2)
			s.sent("a")
		}, protocol.CodeOutcomeUnknown, "in 2 attempts; the last one ended with " + busy.Error(), false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScript(t, delivery.Settings{DeliveryTimeout: 4 * time.Second})
			c.meanwhile(s)
			s.now = time.Unix(4, 0)
			s.Advance(s.now)
			s.fails(c.code)
			if !strings.HasSuffix(s.Err().Error(), "given up after 4s, "+c.says) || s.Absent() != c.absent {
				t.Errorf("absent %v, error %v", s.Absent(), s.Err())
			}
			s.settled("", "a")
		})
	}
}

// refuseTwice adds a batch and refuses two attempts of it.
func (s *script) refuseTwice(first, second *protocol.Error) {
	s.t.Helper()
	s.add("a")
	s.refuse(s.sent("a")["a"], first)
	s.wakes(delivery.DefaultMinBackoff / 2)
	s.refuse(s.sent("a")["a"], second)
}

func TestAbsentOnlyIfEveryAttemptWasRefused(t *testing.T) {
	for name, c := range map[string]struct {
		end    func(*script, map[string]delivery.Send[string])
		absent bool
	}{
		"refused for good": {func(s *script, sends map[string]delivery.Send[string]) {
			s.refuse(sends["a"], protocol.NewError(protocol.CodeMessageTooLarge, ""))
		}, true},
		"fenced": {func(s *script, sends map[string]delivery.Send[string]) {
			s.refuse(sends["a"], protocol.NewError(protocol.CodeInvalidEpoch, ""))
		}, false},
		"an unknown code": {func(s *script, sends map[string]delivery.Send[string]) {
			s.refuse(sends["a"], protocol.NewError(protocol.Code(60000), ""))
		}, false},
		"the lowest is in flight": {func(s *script, sends map[string]delivery.Send[string]) {
			s.refuse(sends["b"], protocol.NewError(protocol.CodeMessageTooLarge, ""))
		}, false},
		"a later one has an OK": {func(s *script, sends map[string]delivery.Send[string]) {
			s.ok(sends["b"])
			s.refuse(sends["a"], protocol.NewError(protocol.CodeMessageTooLarge, ""))
		}, false},
		"nothing is unacked": {func(s *script, sends map[string]delivery.Send[string]) {
			s.ok(sends["a"], sends["b"])
			s.Fail(busy)
		}, true},
	} {
		s := newScript(t, delivery.Settings{})
		s.add("a", "b")
		c.end(s, s.sent("a", "b"))
		if s.Err() == nil || s.Absent() != c.absent {
			t.Errorf("%s: absent %v, error %v", name, s.Absent(), s.Err())
		}
	}
}

func TestOwnerFailsWindow(t *testing.T) {
	s := newScript(t, delivery.Settings{})
	s.add("a", "b")
	s.ok(s.sent("a", "b")["b"])
	s.Fail(busy)
	s.Fail(outOfOrder)
	s.fails(protocol.CodeOverloaded)
	s.settled("b", "a")
}

func TestUnknownAttemptsAreIgnored(t *testing.T) {
	s := newScript(t, delivery.Settings{})
	s.add("a")
	s.sent("a")
	for _, id := range []delivery.ID{{Batch: 1}, {Batch: 0, Attempt: 1}, {Batch: 0, Attempt: -1}, {Batch: math.MaxUint64}} {
		if _, ok := s.Batch(id); ok {
			t.Errorf("there is a batch of %+v", id)
		}
		s.OK(s.now, id)
		s.Refused(s.now, id, protocol.NewError(protocol.CodeInternal, ""))
	}
	if s.Err() != nil || s.Unacked() != 1 {
		t.Error("an unknown attempt was answered")
	}
}
