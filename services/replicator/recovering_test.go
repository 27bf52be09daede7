package replicator

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

func TestRecoveriesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Service{recoveries: make(chan struct{}, maxRecovering)}
		var begun atomic.Int64
		answered := make(chan struct{})
		var wait sync.WaitGroup
		for range 2 * maxRecovering {
			wait.Go(func() {
				_, err := recovering(t.Context(), s, func(context.Context) (struct{}, error) {
					begun.Add(1)
					<-answered
					return struct{}{}, nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if got := begun.Load(); got != maxRecovering {
			t.Errorf("%d attempts are under way, want %d", got, maxRecovering)
		}
		ended, end := context.WithCancel(t.Context())
		end()
		if _, err := recovering(ended, s, func(context.Context) (struct{}, error) {
			begun.Add(1)
			return struct{}{}, nil
		}); !errors.Is(err, context.Canceled) {
			t.Errorf("an attempt that has ended while it waited has the error %v", err)
		}
		close(answered)
		wait.Wait()
		if got := begun.Load(); got != 2*maxRecovering {
			t.Errorf("%d attempts were made", got)
		}
	})
}
