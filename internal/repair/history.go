package repair

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"laneway.dev/internal/archive"
	"laneway.dev/internal/core/manifest"
	"laneway.dev/internal/core/segment"
	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/messages"
)

// maxCandidates is how many manifests a search keeps.
const maxCandidates = 16

// findHistory looks for a manifest in the store that follows that of the known history: entries
// that the log has lost may have been archived before, or have named a manifest that resulted from
// retention. knows reports whether anything of the log can be read, so that its incarnation has
// entries.
//
// A manifest lists acknowledged entries only, whether or not an entry of the log names it. But one
// of an earlier incarnation may list records that were given up when the log was continued. It is
// used only if nothing of the present incarnation is left, or if it ends where the known one does.
func (i *Inspector) findHistory(ctx context.Context, p *inspected, knows bool) error {
	if i.Store == nil {
		return nil
	}
	var candidates []*manifest.Manifest
	there := false // the known manifest
	err := archive.Manifests(ctx, i.Store, p.id, func(m *manifest.Manifest) {
		of, more := m.Partition.Incarnation, m.End.Sequence > p.history.End.Sequence
		there = there || m.Key == p.history.Manifest
		if !more && !replaces(m, p.history) || of > p.id.Incarnation || more && knows && of < p.id.Incarnation {
			return
		}
		candidates = newest(append(candidates, m))
	}, func(string, error) {})
	if err != nil {
		return err
	}
	if there {
		candidates = slices.DeleteFunc(candidates, func(m *manifest.Manifest) bool { return m.End == p.history.End && m.Start == p.history.Start })
	}
	for len(candidates) > 0 {
		m := archive.Newest(candidates)
		whole, err := i.whole(ctx, m, p.history.End.Sequence)
		if err != nil {
			return err
		}
		if whole {
			p.history, p.found = m.History(), true
			return nil
		}
		candidates = slices.DeleteFunc(candidates, func(other *manifest.Manifest) bool { return other == m })
	}
	return nil
}

// newest returns the manifests that end last, in their order.
func newest(candidates []*manifest.Manifest) []*manifest.Manifest {
	slices.SortFunc(candidates, func(a, b *manifest.Manifest) int {
		return cmp.Or(cmp.Compare(b.End.Sequence, a.End.Sequence), cmp.Compare(b.Start, a.Start))
	})
	return candidates[:min(len(candidates), maxCandidates)]
}

// replaces reports whether a manifest that ends where a history does may have replaced that of the
// history: it has dropped as much or more.
func replaces(m *manifest.Manifest, h messages.History) bool {
	return m.End == h.End && m.Start >= h.Start && m.Key != h.Manifest
}

// whole reports whether the entries of a manifest above a sequence can be read. Their frames are
// not read.
func (i *Inspector) whole(ctx context.Context, m *manifest.Manifest, above uint64) (bool, error) {
	whole := true
	err := archive.Walk(ctx, i.Store, m, above, archive.Walker{
		Entry: func(*messages.LoggedEntry) error { return nil },
		Damaged: func(d archive.Damage) error {
			whole = false
			if !objectstore.IsDamage(d.Err) {
				return d.Err
			}
			return nil
		},
	})
	return whole, err
}

// checkManifest adds a finding if the manifest of a log cannot be read.
func (i *Inspector) checkManifest(ctx context.Context, part *Partition) error {
	if i.Store == nil || part.History == nil {
		return nil
	}
	h := part.History
	m, err := archive.Manifest(ctx, i.Store, h.Manifest)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err == nil && (m.End != messages.Position{Sequence: h.EndSequence, Offset: h.EndOffset} || m.Partition.Number != part.Partition):
		err = fmt.Errorf("it lists records up to sequence %d and offset %d", m.End.Sequence, m.End.Offset)
	case err != nil && !objectstore.IsDamage(err):
		return err
	}
	if err != nil {
		part.Findings = append(part.Findings, fmt.Sprintf("the manifest %s, which the log names, cannot be read, and with it the offsets %d to %d: %v; restore it from a copy of the store",
			h.Manifest, h.StartOffset, h.EndOffset-1, err))
	}
	return nil
}

// matchHistory finds out which candidates are in segments.
func (i *Inspector) matchHistory(ctx context.Context, p *inspected, s *matcher) error {
	if len(p.lost.heads) == 0 || i.Store == nil || !p.history.Archived() {
		return nil
	}
	m, err := archive.Manifest(ctx, i.Store, p.history.Manifest)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case objectstore.IsDamage(err):
		return nil // it is among the findings
	case err != nil:
		return err
	}
	return archive.Walk(ctx, i.Store, m, 0, archive.Walker{
		Segment: func(segment.Summary) error {
			i.addProgress(Progress{Objects: 1})
			return nil
		},
		Entry: func(e *messages.LoggedEntry) error {
			if !p.inStream(e.Sequence) || p.diverged > 0 && e.Sequence >= p.diverged {
				s.archived(&e.Entry)
			}
			return nil
		},
	})
}

// inStream reports whether the stream has an entry.
func (p *inspected) inStream(sequence uint64) bool {
	b := p.bounds
	return b != nil && b.First <= sequence && sequence <= b.Last &&
		!slices.ContainsFunc(p.absent, func(h Hole) bool { return h.FirstSequence <= sequence && sequence <= h.LastSequence })
}
