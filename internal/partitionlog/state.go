package partitionlog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// State is the beginning and end of a log.
type State struct {
	FirstSequence uint64 // of the first entry that was not purged
	LastSequence  uint64
	Entries       uint64
	Bytes         uint64 // of the entries

	// Readable is the sequence of the last entry that can be read, and NextOffset
	// the offset that follows it. Both are 0 if there is none.
	Readable   uint64
	NextOffset int64
	// Damage is not nil if the log has lost its end: the entries above Readable are missing
	// or cannot be decoded.
	Damage *protocol.Error
	// History says what was archived, as the last readable entry has it. The log may then have lost its
	// first entries. If it has visibly lost its end, it is that of DamagedState.
	History messages.History
	// Watermark is that of the last readable entry; 0 if it has none.
	Watermark uint64
}

// State asks the leader of the journal's stream for the beginning and end of the log. All entries that were
// acknowledged before the call are within them.
func (l *Log) State(ctx context.Context) (State, error) {
	state, err := l.ownState(ctx)
	if err != nil {
		return State{}, err
	}
	if incomplete, err := l.incomplete(ctx, &state); err != nil || !incomplete {
		return state, err
	}
	return l.complete(ctx, state)
}

// ownState returns the state of the log as its own entries have it.
func (l *Log) ownState(ctx context.Context) (State, error) {
	x, err := l.extent(ctx)
	if err != nil {
		return State{}, err
	}
	state := State{FirstSequence: x.first, LastSequence: x.last, Entries: x.last - x.first + 1, Bytes: x.bytes}
	if x.suspect {
		state.Damage = protocol.Errorf(protocol.CodeCorrupt, "groups of the journal are lost, and entries of the log after %d may have been in them", x.last)
	}
	last, err := l.readCounted(ctx, x.last)
	if corrupt(err) {
		if last, err = l.lastReadable(ctx, &state, err); err != nil {
			return State{}, err
		}
	} else if err != nil {
		return State{}, err
	}
	state.Readable, state.NextOffset, state.History = last.Sequence, last.Entry.NextOffset(), last.Entry.History
	state.Watermark = last.Entry.Watermark
	return state, nil
}

func corrupt(err error) bool { return errors.Is(err, protocol.NewError(protocol.CodeCorrupt, "")) }

// maxUnreadable is how many undecodable entries in a row the search for a readable one
// skips.
const maxUnreadable = 8

// lastReadable returns the last entry that can be read, or the zero entry if there is none,
// and sets the damage of state. It locates the last stored entry by binary search, because
// a log may have lost millions of entries at its end, and then goes back over at most
// maxUnreadable entries that cannot be decoded.
func (l *Log) lastReadable(ctx context.Context, state *State, why error) (messages.LoggedEntry, error) {
	state.Damage = protocol.AsError(why)
	// Invariant: every entry below low was passed, and none exists at or above high.
	low, high := state.FirstSequence, state.LastSequence
	for low < high {
		middle := low + (high-low)/2
		entries, _, err := l.Read(ctx, middle, 1)
		switch {
		case corrupt(err):
			low = middle + 1 // an entry exists there, although it cannot be decoded
		case err != nil:
			return messages.LoggedEntry{}, err
		case len(entries) == 0:
			high = middle
		default:
			low = entries[0].Sequence + 1
		}
	}
	for last := low - 1; last >= state.FirstSequence && low-last <= maxUnreadable; last-- {
		entries, _, err := l.Read(ctx, last, 1)
		switch {
		case corrupt(err):
		case err != nil:
			return messages.LoggedEntry{}, err
		case len(entries) > 0 && entries[0].Sequence == last:
			return entries[0], nil
		}
	}
	return messages.LoggedEntry{}, nil
}

// lagRetry is the pause before a read that a lagging replica has answered is repeated.
const lagRetry = 5 * time.Millisecond

// readCounted reads an entry that is within the leader's bounds. Any replica may answer a
// read; if it lags, the read is repeated until ctx ends. If the leader itself does not have
// the entry, it is lost, and the error is CORRUPT.
func (l *Log) readCounted(ctx context.Context, sequence uint64) (messages.LoggedEntry, error) {
	pause := time.NewTicker(lagRetry)
	defer pause.Stop()
	for {
		entries, _, err := l.Read(ctx, sequence, 1)
		switch {
		case err != nil:
			return messages.LoggedEntry{}, err
		case len(entries) > 0:
			return entries[0], nil
		}
		gone, err := l.gone(ctx, sequence)
		switch {
		case err != nil:
			return messages.LoggedEntry{}, err
		case gone:
			return messages.LoggedEntry{}, protocol.Errorf(protocol.CodeCorrupt,
				"the last entry of log %s, %d, is gone", messages.LogName(l.partition), sequence)
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			return messages.LoggedEntry{}, fmt.Errorf("read %s: entry %d has not reached the replica that answers: %w",
				messages.LogName(l.partition), sequence, context.Cause(ctx))
		}
	}
}

// gone reports whether the leader does not have an entry.
func (l *Log) gone(ctx context.Context, sequence uint64) (bool, error) {
	_, found, err := l.leader(ctx, sequence)
	return !found, err
}

// End is the end of a log, as the leader reports it.
type End struct {
	Last   uint64 // sequence of the last entry
	Behind bool   // the leader has the next entry after the one that was read
	Sealed bool   // the log takes no more appends
	// Suspect reports that groups of the journal are lost, and that entries of the log may have been in
	// them, behind the last one that is known. The next entry shows whether there were any.
	Suspect bool
}

// Confirm asks the leader whether the log ends with the entry read, which the caller has
// found to be the last. The replica that has answered the caller may lag. If Last is above
// read, there are two cases: with Behind the caller must read on; without it, the entries
// after read are lost.
func (l *Log) Confirm(ctx context.Context, read uint64) (End, error) {
	x, err := l.extent(ctx)
	if err != nil {
		return End{}, err
	}
	end := End{Last: x.last, Sealed: x.sealed, Suspect: x.suspect}
	if end.Last > read {
		gone, err := l.gone(ctx, read+1)
		end.Behind = !gone
		return end, err
	}
	return end, nil
}
