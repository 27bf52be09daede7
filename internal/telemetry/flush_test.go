package telemetry

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func TestFlushIsBoundedAndOnlyWarns(t *testing.T) {
	for name, export := range map[string]func(context.Context) error{
		"fails": func(context.Context) error { return errors.New("connection refused") },
		"hangs": func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				core, logged := observer.New(zap.WarnLevel)
				started := time.Now()
				tel := Telemetry{shutdown: []func(context.Context) error{export}}
				tel.Flush(t.Context(), zap.New(core))
				if took := time.Since(started); took > flushTimeout {
					t.Errorf("took %v", took)
				}
				if logged.Len() != 1 {
					t.Errorf("%d warnings, want one", logged.Len())
				}
			})
		})
	}
}
