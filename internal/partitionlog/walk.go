package partitionlog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"laneway.dev/pkg/messages"
)

// DamagedEntry is the error for an entry that is there and cannot be understood.
type DamagedEntry struct {
	Sequence uint64
	Err      error
}

func (e *DamagedEntry) Error() string { return e.Err.Error() }

func (e *DamagedEntry) Unwrap() error { return e.Err }

// Bounds are the sequences that a stream should have without a gap, as its leader
// knows them: nothing is ever removed from a log.
type Bounds struct {
	First, Last uint64 // First is above Last in an empty stream
	Sealed      bool   // nothing can be appended any more
}

// Bounds asks for the bounds of the stream. An error that wraps
// jetstream.ErrStreamNotFound says that there is no stream.
func (l *Log) Bounds(ctx context.Context) (Bounds, error) {
	stream, err := l.js.Stream(ctx, messages.LogStream(l.partition))
	if err != nil {
		return Bounds{}, fmt.Errorf("look up stream %s: %w", messages.LogStream(l.partition), err)
	}
	info := stream.CachedInfo()
	return Bounds{First: max(info.Config.FirstSeq, 1), Last: info.State.LastSeq, Sealed: info.Config.Sealed}, nil
}

// Begin returns the offset at which a log begins, as the entry at the first sequence of its
// stream says; 0 if that entry is lost.
func (l *Log) Begin(ctx context.Context, first uint64) (int64, error) {
	entries, err := l.step(ctx, first, 1)
	switch {
	case corrupt(err):
		return 0, nil
	case err != nil:
		return 0, err
	case len(entries) == 0 || entries[0].Sequence != first || !entries[0].Entry.Created:
		return 0, nil
	}
	return entries[0].Entry.BaseOffset - entries[0].Entry.Gap, nil
}

// Missing are sequences within the bounds of a log that cannot be read.
type Missing struct {
	First, Last uint64
	Reason      string
}

// walkStep is how many entries a walk asks for at once.
const walkStep = 256

// Walk hands all entries from first to last to entry, in order, and what is
// missing between them to missing. Unlike Read it goes on behind what cannot be
// read: JetStream ends an answer in front of a message that its block has lost.
// An error of either function ends the walk.
func (l *Log) Walk(ctx context.Context, first, last uint64, entry func(messages.LoggedEntry) error, missing func(Missing) error) error {
	w := walker{last: last, entry: entry, missing: missing}
	for next := first; next <= last; {
		limit := walkStep
		if w.open() {
			limit = 1 // where the readable part begins is not known
		}
		entries, err := l.step(ctx, next, limit)
		var damaged *DamagedEntry
		if err != nil && !errors.As(err, &damaged) {
			return err
		}
		entries, damaged = unbroken(next, entries, damaged)
		if next, err = w.consume(next, entries, damaged); err != nil {
			return err
		}
	}
	return w.close()
}

// unbroken returns what was read up to the first sequence that is left out: that is read
// by itself, because the replica that has answered may have lost it, and the leader not.
func unbroken(next uint64, entries []messages.LoggedEntry, damaged *DamagedEntry) ([]messages.LoggedEntry, *DamagedEntry) {
	for i := range entries {
		if i > 0 && entries[i].Sequence != next+uint64(i) {
			return entries[:i], nil
		}
	}
	return entries, damaged
}

// stepTimeout bounds the wait for an answer. JetStream gives none about a stream
// whose blocks it cannot count.
const stepTimeout = 5 * time.Second

// step reads some entries from a sequence on. Without any, and without an error, the
// entry at that sequence cannot be read.
func (l *Log) step(ctx context.Context, next uint64, limit int) ([]messages.LoggedEntry, error) {
	bounded, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	entries, _, err := l.Read(bounded, next, limit)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		err = nil
	}
	if err == nil && (len(entries) == 0 || entries[0].Sequence != next) {
		// The replica that was asked may lag, or may have lost what the leader has.
		if found, err := l.askLeader(ctx, next); err != nil || len(found) > 0 {
			return found, err
		}
	}
	return entries, err
}

// askLeader returns the entry at a sequence if the stream's leader can read it.
func (l *Log) askLeader(ctx context.Context, sequence uint64) ([]messages.LoggedEntry, error) {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout) // a question is lost when its server ends
	defer cancel()
	data, found, err := l.fromLeader(ctx, sequence)
	if err != nil || !found {
		return nil, err
	}
	entry, err := l.decodeEntry(sequence, data)
	if err != nil {
		return nil, err
	}
	return []messages.LoggedEntry{entry}, nil
}

// walker gathers what is missing into ranges.
type walker struct {
	last    uint64
	hole    Missing // open if Last is set
	entry   func(messages.LoggedEntry) error
	missing func(Missing) error
}

func (w *walker) open() bool { return w.hole.Last != 0 }

// consume takes the answer to a read from next on, and returns where the next one begins.
func (w *walker) consume(next uint64, entries []messages.LoggedEntry, damaged *DamagedEntry) (uint64, error) {
	for i := range entries {
		e := &entries[i]
		if e.Sequence > w.last {
			return w.last + 1, w.addMissing(next, w.last, gone)
		}
		if err := errors.Join(w.addMissing(next, e.Sequence-1, gone), w.close()); err != nil {
			return 0, err
		}
		if err := w.entry(*e); err != nil {
			return 0, err
		}
		next = e.Sequence + 1
	}
	switch {
	case damaged != nil && damaged.Sequence > w.last:
		return w.last + 1, w.addMissing(next, w.last, gone)
	case damaged != nil:
		return damaged.Sequence + 1, errors.Join(
			w.addMissing(next, damaged.Sequence-1, gone), w.addMissing(damaged.Sequence, damaged.Sequence, damaged.Err.Error()))
	case len(entries) == 0:
		return next + 1, w.addMissing(next, next, gone)
	}
	return next, nil
}

const gone = "JetStream has lost it"

// addMissing adds a range to what is missing; an empty one changes nothing.
func (w *walker) addMissing(first, last uint64, reason string) error {
	if first > last {
		return nil
	}
	if w.open() && w.hole.Last == first-1 && w.hole.Reason == reason {
		w.hole.Last = last
		return nil
	}
	err := w.close()
	w.hole = Missing{First: first, Last: last, Reason: reason}
	return err
}

// close reports the range that is open.
func (w *walker) close() error {
	if !w.open() {
		return nil
	}
	hole := w.hole
	w.hole = Missing{}
	return w.missing(hole)
}
