package generation

import (
	"context"
	"errors"
	"time"

	"laneway.dev/internal/partitionlog"
	"laneway.dev/pkg/protocol"
)

// logTime bounds how long the end of a log is looked for.
const logTime = 10 * time.Second

// watermark returns the highest watermark of all logs. A damaged log counts with its last entry
// that can be read: if its watermark was higher, its owner refuses batches until the generation
// has risen, and nothing is lost.
func (c Cluster) watermark(ctx context.Context) (highest uint64, err error) {
	list, cancel := context.WithTimeout(ctx, logTime)
	defer cancel()
	logs, err := partitionlog.List(list, c.Conn, c.JS, partitionlog.Which{})
	if err != nil {
		return 0, err
	}
	for i := range logs {
		mark, err := c.watermarkOf(ctx, logs[i].Partition)
		if err != nil {
			return 0, err
		}
		highest = max(highest, mark)
	}
	return highest, nil
}

func (c Cluster) watermarkOf(ctx context.Context, p protocol.Partition) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, logTime)
	defer cancel()
	state, err := partitionlog.New(c.Conn, c.JS, p).State(ctx)
	if errors.Is(err, partitionlog.ErrNoLog) || errors.Is(err, protocol.NewError(protocol.CodeCorrupt, "")) {
		return 0, nil
	}
	return state.Watermark, err
}
