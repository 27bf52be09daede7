package partitionlog

import (
	"context"

	"laneway.dev/internal/snapshots"
	"laneway.dev/pkg/messages"
)

// Complete takes the history that the newest snapshot of a log names, if it reaches further than that of a
// state. The log MUST have lost its end, and with it perhaps the entries that name this history; State{} stands
// for a log of which nothing is left. A log is purged only if a snapshot names the history that has the purged
// entries, and an older manifest may be deleted once the log has named a newer one.
func (l *Log) Complete(ctx context.Context, state State) (State, error) {
	store, err := snapshots.Existing(ctx, l.js)
	if err != nil || store == nil {
		return state, err
	}
	var found messages.History
	err = store.Load(ctx, l.partition, func(data []byte) bool {
		s, err := messages.DecodeSnapshot(data)
		if err == nil {
			found = s.History
		}
		return err == nil
	})
	if err != nil || found.End.Sequence <= state.History.End.Sequence {
		return state, err
	}
	state.History = found
	if state.Readable < found.End.Sequence {
		state.Readable, state.NextOffset = found.End.Sequence, found.End.Offset
		state.LastSequence = max(state.LastSequence, state.Readable)
	}
	return state, nil
}

// incomplete reports whether a log has lost its end, or entries that its last one does not name as archived.
func (l *Log) incomplete(ctx context.Context, state *State) (bool, error) {
	switch h := &state.History; {
	case state.Damage != nil:
		return true, nil
	case state.FirstSequence <= h.End.Sequence+1:
		return false, nil
	case h.Archived():
		return true, nil
	}
	first, err := l.firstOfAll(ctx, state.FirstSequence)
	return first == nil, err
}
