package archiver

import (
	"context"

	"go.uber.org/zap"

	"laneway.dev/internal/sweepstate"
)

// held reports whether nothing may be deleted, because a sweep has found that the logs and the store
// are not from the same time, or because that is not known. Segments are not merged either, because
// those that they replace would stay as well.
//
// Retention goes on: a job that dropped nothing would be repeated for as long as the alarm stands,
// and the log would not be archived. What it drops waits for its deletion.
func (w *worker) held(ctx context.Context) bool {
	alarm, err := sweepstate.Alarm(ctx, w.conn)
	if err != nil && ctx.Err() == nil {
		w.log.Warn("objects that are not needed any more stay for another job: it could not be read whether they may be deleted", zap.Error(err))
	}
	return err != nil || alarm != ""
}
