package archiver

import (
	"context"

	"go.uber.org/zap"

	"laneway.dev/internal/sweepstate"
	"laneway.dev/services/archiver/sweeper"
)

// held reports whether nothing may be deleted, because a sweep has found that the logs and the store
// are not from the same time, because it may find that, or because that is not known. Segments are not
// merged either, because those that they replace would stay as well.
//
// Retention continues: a job that dropped nothing would be repeated for as long as the alarm stands,
// and the log would not be archived. What it drops waits for its deletion.
func (w *worker) held(ctx context.Context) bool {
	alarm, err := sweepstate.Alarm(ctx, w.conn)
	if err == nil && alarm == "" {
		err = w.settle(ctx)
	}
	if err != nil && ctx.Err() == nil {
		w.log.Warn("objects that are not needed any more stay until the next job: the state of sweeps, which says whether they may be deleted, could not be read", zap.Error(err))
	}
	return err != nil || alarm != "" || !w.settled.Load()
}

// settle finds out whether the logs or the store were restored from a copy that is older than the last
// sweep, until it is known that they were not. Copies are restored while no archiver runs.
func (w *worker) settle(ctx context.Context) error {
	if w.settled.Load() {
		return nil
	}
	settled, err := sweeper.Settled(ctx, w.conn, w.store)
	switch {
	case err != nil:
		return err
	case settled:
		w.settled.Store(true)
	case !w.unsettled.Swap(true):
		w.log.Warn("objects that are not needed any more stay until the next sweep: the newest record of a sweep in the store is not the one that NATS names, so either may have been restored from a copy")
	}
	return nil
}
