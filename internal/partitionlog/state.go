package partitionlog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// State is where a log begins and ends.
type State struct {
	FirstSequence uint64 // of the stream; one above LastSequence in an empty log
	LastSequence  uint64 // of the stream
	Entries       uint64

	// Readable is the sequence of the last entry that can be read, and NextOffset
	// the offset that follows it. Both are 0 if there is none.
	Readable   uint64
	NextOffset int64
	// Damage is not nil if the log has lost its end: the entries above Readable are
	// gone, or cannot be decoded.
	Damage *protocol.Error
}

// State asks the stream's leader where the log begins and ends.
func (l *Log) State(ctx context.Context) (State, error) {
	stream, err := l.js.Stream(ctx, messages.LogStream(l.partition))
	if err != nil {
		return State{}, fmt.Errorf("look up stream %s: %w", messages.LogStream(l.partition), err)
	}
	s := stream.CachedInfo().State
	state := State{FirstSequence: max(s.FirstSeq, 1), LastSequence: s.LastSeq, Entries: s.Msgs}
	if s.LastSeq == 0 {
		return state, nil
	}
	last, err := l.readCounted(ctx, s.LastSeq)
	if corrupt(err) {
		if last, err = l.lastReadable(ctx, &state, err); err != nil {
			return State{}, err
		}
	} else if err != nil {
		return State{}, err
	}
	state.Readable, state.NextOffset = last.Sequence, last.Entry.NextOffset()
	return state, nil
}

func corrupt(err error) bool { return errors.Is(err, protocol.NewError(protocol.CodeCorrupt, "")) }

// maxUnreadable is how many entries in a row may be impossible to decode before the
// search for one that can be read is given up.
const maxUnreadable = 8

// lastReadable returns the last entry that can be read, the zero one if there is none,
// and notes in the state what is behind it.
func (l *Log) lastReadable(ctx context.Context, state *State, why error) (messages.LoggedEntry, error) {
	state.Damage = protocol.AsError(why)
	// Some entry stands at or behind low, none at or behind high.
	low, high := state.FirstSequence, state.LastSequence
	if state.Entries == 0 {
		high = low
	}
	for low < high {
		middle := low + (high-low)/2
		entries, _, err := l.Read(ctx, middle, 1)
		switch {
		case corrupt(err):
			low = middle + 1 // there is one, whatever it says
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

// lagRetry is how long a replica that lags is left to itself.
const lagRetry = 5 * time.Millisecond

// readCounted reads an entry that the leader counts. Any replica may be the one that
// answers a read: one that lags is asked again until ctx ends. An entry that the
// leader itself does not have is lost: the error is CORRUPT.
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
				"the last entry of stream %s, %d, is gone", messages.LogStream(l.partition), sequence)
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			return messages.LoggedEntry{}, fmt.Errorf("read %s: its entry %d is not there yet: %w",
				messages.LogStream(l.partition), sequence, context.Cause(ctx))
		}
	}
}

// gone reports whether the stream's leader does not have an entry.
func (l *Log) gone(ctx context.Context, sequence uint64) (bool, error) {
	_, found, err := l.fromLeader(ctx, sequence)
	return !found, err
}

// fromLeader asks the stream's leader for an entry, and whether it has one.
func (l *Log) fromLeader(ctx context.Context, sequence uint64) (data []byte, found bool, err error) {
	request, err := json.Marshal(getRequest{Sequence: sequence})
	if err != nil {
		return nil, false, err
	}
	m, err := l.conn.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+messages.LogStream(l.partition), request)
	if err != nil {
		return nil, false, fmt.Errorf("read %s at sequence %d: %w", messages.LogStream(l.partition), sequence, err)
	}
	var answer struct {
		Error   *jetstream.APIError `json:"error"`
		Message struct {
			Data []byte `json:"data"`
		} `json:"message"`
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		return nil, false, fmt.Errorf("read %s at sequence %d: %w", messages.LogStream(l.partition), sequence, err)
	}
	switch {
	case answer.Error != nil && answer.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return nil, false, nil
	case answer.Error != nil:
		return nil, false, fmt.Errorf("read %s at sequence %d: %w", messages.LogStream(l.partition), sequence, answer.Error)
	}
	return answer.Message.Data, true, nil
}

// End is what the stream's leader says of the end of a log.
type End struct {
	Last   uint64 // sequence of the stream
	Behind bool   // the reader is behind: the leader has the entry that it did not find
	Sealed bool   // nothing can be appended any more
}

// Confirm asks the leader whether the log ends with an entry, as a reader has found. Any
// replica may have answered the reader. If Last lies above that entry and the reader is
// not behind, the entries between are lost.
func (l *Log) Confirm(ctx context.Context, read uint64) (End, error) {
	stream, err := l.js.Stream(ctx, messages.LogStream(l.partition))
	if err != nil {
		return End{}, fmt.Errorf("look up stream %s: %w", messages.LogStream(l.partition), err)
	}
	info := stream.CachedInfo()
	end := End{Last: info.State.LastSeq, Sealed: info.Config.Sealed}
	if end.Last > read {
		gone, err := l.gone(ctx, read+1)
		end.Behind = !gone
		return end, err
	}
	return end, nil
}
