package repair

import (
	"context"
	"fmt"
	"slices"

	"laneway.dev/internal/archive"
	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/messages"
)

// State is what results from a series of entries of a log. The package of the owner of logs
// implements it.
type State interface {
	// Apply adds an entry.
	Apply(*messages.LoggedEntry)
	// Snapshot returns the state as a snapshot up to the last entry.
	Snapshot() messages.Snapshot
}

// findArchived reads the log, and finds out what of it is archived.
func (a *accepting) findArchived(ctx context.Context) error {
	p := &inspected{id: a.old, log: a.log}
	known, err := a.evidence(ctx)
	if err != nil {
		return err
	}
	var part Partition
	err = a.bounded(ctx, func(ctx context.Context) (err error) {
		part.Snapshot, err = known.snapshot(ctx, a.old)
		return err
	})
	if err != nil {
		return err
	}
	if _, err := a.scanLog(ctx, &part, p, func(*messages.LoggedEntry, bool) error { return nil }); err != nil {
		return err
	}
	a.history = p.history
	if !a.history.Archived() {
		return nil
	}
	m, err := archive.Manifest(ctx, a.Store, a.history.Manifest)
	if objectstore.IsDamage(err) {
		return fmt.Errorf("nothing can be archived after a log whose manifest cannot be read; restore %s from a copy of the store: %w", a.history.Manifest, err)
	}
	if err != nil {
		return err
	}
	switch all := slices.Concat(m.Lists, m.Segments); {
	case m.End != a.history.End:
		return fmt.Errorf("the manifest %s ends with entry %d at offset %d, and the log says %d and %d",
			m.Key, m.End.Sequence, m.End.Offset, a.history.End.Sequence, a.history.End.Offset)
	case len(all) == 0 && m.Start < m.End.Offset:
		return fmt.Errorf("the manifest %s has records from offset %d to %d and lists no segments", m.Key, m.Start, m.End.Offset-1)
	case len(all) > 0:
		a.last = all[len(all)-1]
	}
	return nil
}

// archivedState is the state after the archived entries of a log, as far as the stream still has
// them. They are not copied, but their batches decide about later ones.
//
// Example: a snapshot covers the log up to entry 400, and segments have the entries up to 500. The
// stream still has the entries from 400 on, because an owner that takes over needs them. The state
// is that of the snapshot and of the entries 401 to 500. The new stream begins with an entry that
// ends where entry 500 does, and its snapshot covers that entry.
type archivedState struct {
	a        *accepting
	state    State // nil if nothing is archived, or if the snapshot covers later entries
	base     *messages.Snapshot
	finished bool
}

func newArchivedState(a *accepting) *archivedState {
	s := &archivedState{a: a, base: a.snapshot}
	if a.history.Archived() && (s.base == nil || s.base.Sequence <= a.history.End.Sequence) {
		s.state = a.NewState(a.topic, a.old, s.base)
	}
	return s
}

// entry handles an entry, and reports whether it is archived.
func (s *archivedState) entry(e *messages.LoggedEntry) bool {
	if !s.a.history.Archived() || e.Sequence > s.a.history.End.Sequence {
		s.finish()
		return false
	}
	switch {
	case s.state == nil:
	case s.base == nil || e.Sequence > s.base.Sequence:
		s.state.Apply(e)
	case e.Sequence == s.base.Sequence && !endsWith(s.base, e):
		// The snapshot contradicts the log.
		s.base, s.a.snapshot = nil, nil
		s.state = s.a.NewState(s.a.topic, s.a.old, nil)
		s.state.Apply(e)
	}
	return true
}

// finish is called after the last archived entry.
func (s *archivedState) finish() {
	if s.finished {
		return
	}
	s.finished = true
	if s.state != nil {
		s.a.made.start(s.state.Snapshot())
	}
}
