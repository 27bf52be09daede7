package produce

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestOnlyManyRequestsWaitForMore(t *testing.T) {
	waited := func(ctx context.Context, events int) time.Duration {
		started := time.Now()
		gather(ctx, events)
		return time.Since(started)
	}
	synctest.Test(t, func(t *testing.T) {
		if d := waited(t.Context(), 1); d != 0 {
			t.Errorf("a request that came alone waits for %s", d)
		}
		if d := waited(t.Context(), busyTurn); d != gatherTime {
			t.Errorf("many requests wait for %s, want %s", d, gatherTime)
		}
		ended, end := context.WithCancel(t.Context())
		end()
		if d := waited(ended, busyTurn); d != 0 {
			t.Errorf("the end waits for %s", d)
		}
	})
}
