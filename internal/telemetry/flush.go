package telemetry

import (
	"context"
	"fmt"
	"os"
	"time"

	"go.uber.org/zap"
)

// flushTimeout bounds the last export.
const flushTimeout = 2 * time.Second

// Flush is Shutdown at the end of a process. No promise of Laneway depends on
// telemetry, so a backend that does not answer delays the end by two seconds at
// most, and its error is only logged.
func (t *Telemetry) Flush(ctx context.Context, log *zap.Logger) {
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	if err := t.Shutdown(ctx); err != nil {
		log.Warn("the last telemetry could not be exported", zap.Error(err))
	}
}

// Instance returns a name for this process among those of its role: the host and
// the process id.
func Instance() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s-%d", host, os.Getpid())
}
