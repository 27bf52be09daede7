package core

import (
	"testing"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

func TestMessagesWaitWithinTheMemory(t *testing.T) {
	s := Settings{MemoryBytes: 1000}
	for _, c := range []struct {
		queued, size int64
		fits         bool
	}{
		{1000, 10, true},
		{1001, 10, false},
		{5000, 5000, true}, // alone
		{5001, 5000, false},
	} {
		if got := s.Fits(c.queued, c.size); got != c.fits {
			t.Errorf("%d bytes among %d: fits is %v", c.size, c.queued, got)
		}
	}
}

func TestMessageTurnedAwayIsBusyForEveryBatch(t *testing.T) {
	b := batch("a", 2, 10)
	b.Attempt = 9
	m := stage(orders0, batch("a", 1, 10), b)
	if got := PayloadBytes(&m); got != 20 {
		t.Errorf("%d payload bytes, want 20", got)
	}
	fx := Effects{Send: []messages.Envelope{small.TurnAway(&m)}}
	wantRefused(t, fx, protocol.CodeStagerBusy, "a:1", "a:2")
	if got := refusals(t, fx)[1].Attempt; got != 9 {
		t.Errorf("the refusal is of attempt %d, want 9", got)
	}
}

func TestTickEndsLingersInTime(t *testing.T) {
	for linger, want := range map[time.Duration]time.Duration{
		0: busyLinger, time.Millisecond: minTick, 40 * time.Millisecond: 5 * time.Millisecond, time.Second: busyLinger,
	} {
		if got := (Settings{Linger: linger}).Tick(); got != want {
			t.Errorf("with a linger of %v the tick is %v, want %v", linger, got, want)
		}
	}
}
