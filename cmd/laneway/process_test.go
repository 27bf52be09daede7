package main

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func TestProcessStopsInTheReverseOrderOfItsStart(t *testing.T) {
	p := newProcess(zap.NewNop())
	var order []string
	for _, what := range []string{"NATS", "telemetry", "services"} {
		p.onStop(what, func(context.Context) error {
			order = append(order, what)
			return nil
		})
	}
	if err := p.shutdown(time.Minute); err != nil {
		t.Fatal(err)
	}
	if want := []string{"services", "telemetry", "NATS"}; !slices.Equal(order, want) {
		t.Errorf("stopped %q, want %q", order, want)
	}
}

func TestStepThatFailsOrHangsDoesNotKeepTheOthersFromStopping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(zap.NewNop())
		last := false
		p.onStop("NATS", func(context.Context) error { last = true; return nil })
		release := make(chan struct{})
		p.onStop("what hangs", func(context.Context) error { <-release; return nil })
		broken := errors.New("broken")
		p.onStop("what fails", func(context.Context) error { return broken })
		begun := time.Now()
		err := p.shutdown(5 * time.Second)
		close(release)
		if !errors.Is(err, broken) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		if !last {
			t.Error("the last step was not taken")
		}
		if took := time.Since(begun); took > 7*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestTelemetryBackendThatIsDownNeitherFailsNorDelaysAStop(t *testing.T) {
	for name, export := range map[string]func(context.Context) error{
		"fails": func(context.Context) error { return errors.New("connection refused") },
		"hangs": func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				core, logged := observer.New(zap.WarnLevel)
				begun := time.Now()
				flush(t.Context(), export, zap.New(core))
				if took := time.Since(begun); took > lastTelemetry {
					t.Errorf("took %v", took)
				}
				if logged.Len() != 1 {
					t.Errorf("%d warnings, want one", logged.Len())
				}
			})
		})
	}
}
