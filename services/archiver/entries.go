package archiver

import (
	"context"
	"errors"
	"fmt"
	"time"

	"laneway.dev/internal/partitionlog"
	"laneway.dev/pkg/messages"
	"laneway.dev/services/archiver/core"
)

// entries reads the entries of a job from the log.
func (w *worker) entries(ctx context.Context, job messages.Archive) (*core.Plan, error) {
	log := partitionlog.New(w.conn, w.js, job.Partition)
	tries := newPatience(w.patience)
	plan, err := core.NewPlan(job, w.limit)
	if err != nil {
		return nil, err
	}
	for {
		err := readEntries(ctx, log, job.To.Sequence, plan, tries)
		if err == nil {
			err = plan.Complete()
			return plan, err
		}
		if err := tries.wait(ctx, err); err != nil {
			return nil, err
		}
	}
}

// readEntries continues to read where an earlier attempt has failed. Errors that are not final are
// those of requests to JetStream.
func readEntries(ctx context.Context, log *partitionlog.Log, to uint64, plan *core.Plan, tries *patience) error {
	begin, err := first(ctx, log)
	if err != nil {
		return err
	}
	return log.Walk(ctx, max(plan.Next(), begin), to, func(e messages.LoggedEntry) error {
		tries.further()
		if err := plan.Add(e); err != nil {
			return final{err}
		}
		return nil
	}, func(m partitionlog.Missing) error {
		return final{fmt.Errorf("entry %d of the log cannot be read: %s", m.First, m.Reason)}
	})
}

// firstTimeout bounds one request to JetStream, which hangs while the stream has no leader.
const firstTimeout = 5 * time.Second

// first returns the sequence of the entry that began the stream of the log. If the log continues
// another one, that is above all sequences in its history. The error is final if the stream does
// not exist. first is called before each attempt, because the topic may be deleted meanwhile, and
// reads do not tell that apart from a stream without a leader.
func first(ctx context.Context, log *partitionlog.Log) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, firstTimeout)
	defer cancel()
	bounds, err := log.Bounds(ctx)
	if errors.Is(err, partitionlog.ErrNoLog) {
		err = final{fmt.Errorf("the log does not exist: %w", err)}
	}
	return bounds.First, err
}
