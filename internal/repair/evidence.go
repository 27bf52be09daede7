package repair

import (
	"context"
	"time"

	"laneway.dev/internal/marks"
	"laneway.dev/internal/snapshots"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// evidenceTimeout bounds the wait for JetStream.
const evidenceTimeout = 30 * time.Second

// evidence has the stores of the evidence that lies outside the logs.
type evidence struct {
	snapshots *snapshots.Store // nil if its stream does not exist
	marks     *marks.Store
}

// evidence opens the stores of the evidence, once.
func (i *Inspector) evidence(ctx context.Context) (_ evidence, err error) {
	if i.opened == nil {
		var known evidence
		if known.snapshots, err = snapshots.Existing(ctx, i.JS); err != nil {
			return known, err
		}
		known.marks = marks.New(i.Conn, i.JS)
		i.opened = &known
	}
	return *i.opened, nil
}

// mark returns the mark of a partition; nil if there is none.
func (e evidence) mark(ctx context.Context, p protocol.Partition) (*messages.Mark, error) {
	stored, err := e.marks.Get(ctx, p)
	if err != nil || !stored.Exists {
		return nil, err
	}
	return &stored.Mark, nil
}

// snapshot returns the end of the log according to its newest readable snapshot; nil if there
// is none.
func (e evidence) snapshot(ctx context.Context, p protocol.Partition) (newest *Snapshot, err error) {
	err = e.load(ctx, p, func(data []byte) bool {
		s, err := messages.DecodeSnapshot(data)
		if err != nil || s.TopicID != p.TopicID || s.Incarnation != p.Incarnation {
			return false
		}
		newest = &Snapshot{Sequence: s.Sequence, EndOffset: s.NextOffset, Time: time.Unix(0, s.Time).UTC(), history: s.History}
		return true
	})
	return newest, err
}

// load calls use for the snapshots of a log, the newest first, until it returns true.
func (e evidence) load(ctx context.Context, p protocol.Partition, use func(data []byte) (good bool)) error {
	if e.snapshots == nil {
		return nil
	}
	return e.snapshots.Load(ctx, p, use)
}
