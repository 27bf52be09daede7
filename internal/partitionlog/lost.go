package partitionlog

import (
	"context"
	"errors"

	"laneway.dev/internal/snapshots"
	"laneway.dev/pkg/messages"
)

// DamagedState is State for a log of which somebody knows that it has lost its end, and with it perhaps the entries
// that name its history. The log may even be gone. A log is purged only if a snapshot names the history that
// has the purged entries, and an older manifest may be deleted once the log has named a newer one.
func (l *Log) DamagedState(ctx context.Context) (State, error) {
	state, err := l.ownState(ctx)
	switch {
	case errors.Is(err, ErrNoLog):
		state = State{FirstSequence: 1}
	case err != nil:
		return State{}, err
	}
	return l.complete(ctx, state)
}

// complete takes the history that the newest snapshot of the log names, if it reaches further than the one of
// a state.
func (l *Log) complete(ctx context.Context, state State) (State, error) {
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
