package process

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
)

func TestStopsInReverseOrderOfStart(t *testing.T) {
	p := New(zap.NewNop())
	var order []string
	for _, what := range []string{"NATS", "telemetry", "services"} {
		p.OnStop(what, func(context.Context) error {
			order = append(order, what)
			return nil
		})
	}
	if err := p.Shutdown(time.Minute); err != nil {
		t.Fatal(err)
	}
	if want := []string{"services", "telemetry", "NATS"}; !slices.Equal(order, want) {
		t.Errorf("stopped %q, want %q", order, want)
	}
}

func TestStopsAllWhenAStepFailsOrHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(zap.NewNop())
		last := false
		p.OnStop("NATS", func(context.Context) error { last = true; return nil })
		release := make(chan struct{})
		p.OnStop("what hangs", func(context.Context) error { <-release; return nil })
		broken := errors.New("broken")
		p.OnStop("what fails", func(context.Context) error { return broken })
		started := time.Now()
		err := p.Shutdown(5 * time.Second)
		close(release)
		if !errors.Is(err, broken) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		if !last {
			t.Error("the last step was not taken")
		}
		if took := time.Since(started); took > 7*time.Second {
			t.Errorf("took %v", took)
		}
	})
}
