package core

import (
	"testing"
	"time"

	"laneway.dev/pkg/protocol"
)

// due returns an object whose batches have these times left at noon.
func due(left ...time.Duration) *Object {
	o := &Object{}
	for _, d := range left {
		o.Batches = append(o.Batches, Batch{Deadline: noon.Add(d)})
	}
	return o
}

func TestPausesBetweenPutsDoubleUpToABound(t *testing.T) {
	a := NewAttempts(due(time.Hour))
	for i, want := range []time.Duration{50, 100, 200, 400, 800, 1600, 2000, 2000} {
		if got, refused := a.Failed(noon, Failure{Detail: "gone"}, 0.5); refused != nil || got != want*time.Millisecond {
			t.Errorf("pause %d is %v, %v; want %d ms", i, got, refused, want)
		}
	}
}

func TestPausesAreSpread(t *testing.T) {
	for random, want := range map[float64]time.Duration{0: 25 * time.Millisecond, 0.999: 74 * time.Millisecond} {
		a := NewAttempts(due(time.Hour))
		if got, _ := a.Failed(noon, Failure{}, random); got.Truncate(time.Millisecond) != want {
			t.Errorf("with %v the pause is %v, want %v", random, got, want)
		}
	}
}

func TestFailedPutIsRefused(t *testing.T) {
	const store, busy = protocol.CodeStoreUnavailable, protocol.CodeStagerBusy
	for what, c := range map[string]struct {
		left    time.Duration
		failure Failure
		want    protocol.Code
	}{
		"when the store is full":                    {time.Hour, Failure{Full: true}, store},
		"when it would fail again":                  {time.Hour, Failure{Final: true}, store},
		"when the next put would be too late":       {50 * time.Millisecond, Failure{}, store},
		"when the stager is limited":                {time.Hour, Failure{Limited: true}, busy},
		"when the deadline has passed":              {-time.Second, Failure{}, store},
		"when the stager stops":                     {time.Hour, Failure{Stopped: true}, busy},
		"when the stager stops, whatever else is":   {-time.Second, Failure{Stopped: true, Full: true, Final: true}, busy},
		"not while the latest deadline is far away": {51 * time.Millisecond, Failure{}, 0},
	} {
		t.Run(what, func(t *testing.T) {
			a := NewAttempts(due(time.Millisecond, c.left))
			c.failure.Detail = "what the store said"
			pause, refused := a.Failed(noon, c.failure, 0.5)
			switch {
			case c.want == 0 && (refused != nil || pause != firstPause):
				t.Errorf("got %v, %v; want another put after %v", pause, refused, firstPause)
			case c.want != 0 && (refused == nil || refused.Code != c.want):
				t.Errorf("refused with %v, want %s", refused, c.want.Kind().Name)
			case c.want == store && refused.Detail != c.failure.Detail:
				t.Errorf("refused with %q, want %q", refused.Detail, c.failure.Detail)
			}
		})
	}
}
