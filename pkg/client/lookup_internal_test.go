package client

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
)

func TestInterruptedStartReportsEarlierError(t *testing.T) {
	for ends, begin := range map[error]func(context.Context) (context.Context, context.CancelFunc){
		context.DeadlineExceeded: func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Second)
		},
		context.Canceled: func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(time.Second, cancel)
			return ctx, cancel
		},
	} {
		t.Run(ends.Error(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := begin(t.Context())
				defer cancel()
				attempts := 0
				err := New(nil).insist(ctx, func(ctx context.Context) error {
					if attempts++; attempts == 1 {
						return fmt.Errorf("no service answers: %w", nats.ErrNoResponders)
					}
					<-ctx.Done()
					return ctx.Err()
				})
				if attempts != 2 || !errors.Is(err, ends) || !errors.Is(err, nats.ErrNoResponders) {
					t.Errorf("error %v after %d attempts", err, attempts)
				}
			})
		})
	}
}

func TestStartWithoutAnswerEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := New(nil).insist(ctx, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
	})
}
