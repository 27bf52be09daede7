package replicator

import (
	"context"
	"errors"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"laneway.dev/internal/kvbucket"
	"laneway.dev/internal/sweepstate"
	"laneway.dev/pkg/protocol"
)

// behindInterval is the time between two looks at which logs are behind.
const behindInterval = time.Second

// behindLogs knows which logs are older than the object store, as far as archivers have noticed. The actors
// of logs compare the value with the one that they know in each of their turns. It is safe for concurrent use.
type behindLogs struct {
	conn *nats.Conn
	log  *zap.Logger
	now  atomic.Pointer[sweepstate.Behind]
}

// start reads the value, so that no owner takes batches before it is known. It retries until ctx ends.
func (b *behindLogs) start(ctx context.Context) error {
	_, err := kvbucket.Retry(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, b.look(ctx) })
	if errors.Is(err, protocol.NewError(protocol.CodeCorrupt, "")) {
		err = nil // run says so
	}
	return err
}

// run looks again and again until ctx ends. While the value cannot be read, the last one counts.
func (b *behindLogs) run(ctx context.Context) {
	ticker := time.NewTicker(behindInterval)
	defer ticker.Stop()
	failing := false
	for {
		err := b.look(ctx)
		if corrupt := errors.Is(err, protocol.NewError(protocol.CodeCorrupt, "")); corrupt != failing {
			if failing = corrupt; corrupt {
				b.log.Error("it cannot be read which logs are older than the object store", zap.Error(err))
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (b *behindLogs) look(ctx context.Context) error {
	found, err := sweepstate.Logs(ctx, b.conn)
	if err == nil && !reflect.DeepEqual(found, b.now.Load()) {
		b.now.Store(found)
	}
	return err
}
