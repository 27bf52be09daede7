package partitionlog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"laneway.dev/pkg/messages"
)

// DamagedEntry is the error for an entry that exists and cannot be decoded.
type DamagedEntry struct {
	Sequence uint64
	Err      error
}

func (e *DamagedEntry) Error() string { return e.Err.Error() }

func (e *DamagedEntry) Unwrap() error { return e.Err }

// Bounds are the first and last sequences of a log, as the leader reports them. The log should have
// every sequence between them, except those that were purged.
type Bounds struct {
	// First is that of the first entry ever. It is 1 if that entry was purged or lost, and its sequence is
	// not known any more.
	First, Last uint64
	Sealed      bool // the log takes no more appends
	Suspect     bool // as in End
}

// Bounds asks the leader for the bounds of the log. An error that wraps
// ErrNoLog means that the log does not exist.
func (l *Log) Bounds(ctx context.Context) (Bounds, error) {
	x, err := l.extent(ctx)
	if err != nil {
		return Bounds{}, err
	}
	return Bounds{First: x.begin, Last: x.last, Sealed: x.sealed, Suspect: x.suspect}, nil
}

// Times returns the time that JetStream gave to the last entry, by the clock of the stream's leader,
// and when that stream was created.
func (l *Log) Times(ctx context.Context) (last, created time.Time, err error) {
	x, err := l.extent(ctx)
	if err != nil {
		return last, created, err
	}
	e, found, err := l.leader(ctx, x.last)
	if err != nil || !found {
		return last, created, errors.Join(err, fmt.Errorf("the last entry of the log of %s cannot be read", l.partition))
	}
	stream, err := l.js.Stream(ctx, messages.JournalStream(l.partition.Log))
	if err != nil {
		return last, created, fmt.Errorf("look up stream %s: %w", messages.JournalStream(l.partition.Log), err)
	}
	return e.Time, stream.CachedInfo().Created, nil
}

// History returns what was archived, as the last entry of the log has it. It is zero if that entry
// cannot be read.
func (l *Log) History(ctx context.Context) (messages.History, error) {
	bounds, err := l.Bounds(ctx)
	if err != nil || bounds.Last < bounds.First {
		return messages.History{}, err
	}
	entries, err := l.step(ctx, bounds.Last, 1)
	switch {
	case corrupt(err):
		return messages.History{}, nil
	case err != nil:
		return messages.History{}, err
	case len(entries) == 0:
		return messages.History{}, nil
	}
	return entries[0].Entry.History, nil
}

// Begin returns the first offset of a log of which nothing is archived, from the entry at
// its first sequence; 0 if that entry is lost.
func (l *Log) Begin(ctx context.Context, first uint64) (int64, error) {
	e, err := l.firstOfAll(ctx, first)
	if e == nil {
		return 0, err
	}
	return e.BaseOffset - e.Gap, nil
}

// firstOfAll returns the entry with which the log was created, if it is at this sequence; otherwise, or if it is lost, nil.
func (l *Log) firstOfAll(ctx context.Context, at uint64) (*messages.Entry, error) {
	entries, err := l.step(ctx, at, 1)
	switch {
	case corrupt(err):
		return nil, nil
	case err != nil:
		return nil, err
	case len(entries) == 0 || entries[0].Sequence != at || !entries[0].Entry.Created:
		return nil, nil
	}
	return &entries[0].Entry, nil
}

// TimeOf returns the time of the first entry from a sequence on, in Unix nanoseconds; 0 if there is
// none, or if it cannot be read.
func (l *Log) TimeOf(ctx context.Context, from uint64) (int64, error) {
	entries, err := l.step(ctx, from, 1)
	switch {
	case corrupt(err), err == nil && len(entries) == 0:
		return 0, nil
	case err != nil:
		return 0, err
	}
	return entries[0].Entry.Time, nil
}

// Missing is a range of sequences within the bounds of a log that cannot be read.
type Missing struct {
	First, Last uint64
	Reason      string
}

// walkStep is how many entries one read of a walk requests.
const walkStep = 256

// Walk calls entry for each entry from first to last, and missing for each range between
// them that cannot be read, in the order of the sequences. Neighboring sequences that are
// missing for the same reason are one range. An error of either function ends the walk.
//
// Unlike Read, Walk continues after damage. JetStream ends an answer before a message that
// its block has lost, so after each missing sequence Walk reads single entries until one can
// be read. An entry counts as missing only if the leader does not have it either.
//
// Example: of entries 1 to 900, 300 to 310 are lost and 500 cannot be decoded. Walk calls
// entry for 1 to 299, missing{300, 310, "JetStream has lost it"}, entry for 311 to 499,
// missing{500, 500, the reason}, and entry for 501 to 900.
func (l *Log) Walk(ctx context.Context, first, last uint64, entry func(messages.LoggedEntry) error, missing func(Missing) error) error {
	w := walker{last: last, entry: entry, missing: missing}
	for next := first; next <= last; {
		limit := walkStep
		if w.open() {
			limit = 1 // the next readable entry may be any of those that follow
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

// unbroken returns the entries up to the first hole. The sequence at the hole is read by
// itself next: the replica that has answered may have lost it, and the leader may have it.
func unbroken(next uint64, entries []messages.LoggedEntry, damaged *DamagedEntry) ([]messages.LoggedEntry, *DamagedEntry) {
	for i := range entries {
		if i > 0 && entries[i].Sequence != next+uint64(i) {
			return entries[:i], nil
		}
	}
	return entries, damaged
}

// stepTimeout bounds the wait for an answer. JetStream sends none for a stream with blocks
// that it cannot read.
const stepTimeout = 5 * time.Second

// step reads entries from the sequence next on. No entries and no error mean that the entry
// at next cannot be read.
func (l *Log) step(ctx context.Context, next uint64, limit int) ([]messages.LoggedEntry, error) {
	bounded, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	entries, _, err := l.Read(bounded, next, limit)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		err = nil
	}
	if err == nil && (len(entries) == 0 || entries[0].Sequence != next) {
		// The replica that has answered may lag, or may have lost an entry that the leader has.
		if found, err := l.askLeader(ctx, next); err != nil || len(found) > 0 {
			return found, err
		}
	}
	return entries, err
}

// askLeader returns the entry at a sequence if the leader can read it.
func (l *Log) askLeader(ctx context.Context, sequence uint64) ([]messages.LoggedEntry, error) {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout) // a server that stops does not answer
	defer cancel()
	m, found, err := l.leader(ctx, sequence)
	if err != nil || !found {
		return nil, err
	}
	entry, err := l.decodeEntry(sequence, m.Data)
	if err != nil {
		return nil, err
	}
	return []messages.LoggedEntry{entry}, nil
}

// walker joins missing sequences into ranges.
type walker struct {
	last    uint64
	hole    Missing // open if Last is set
	entry   func(messages.LoggedEntry) error
	missing func(Missing) error
}

func (w *walker) open() bool { return w.hole.Last != 0 }

// consume handles the entries of a read from next on, and returns the sequence of the next
// read.
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

// addMissing adds a range of missing sequences to the open range, or reports that one and
// opens another. It ignores an empty range.
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

// close reports the open range, if there is one.
func (w *walker) close() error {
	if !w.open() {
		return nil
	}
	hole := w.hole
	w.hole = Missing{}
	return w.missing(hole)
}
