package repair

import (
	"context"
	"errors"
	"iter"

	"laneway.dev/internal/archive"
	"laneway.dev/internal/core/manifest"
	"laneway.dev/internal/partitionlog"
	"laneway.dev/pkg/messages"
)

// findDivergence compares the log with a history that no entry of it names. If the log was restored
// from an older copy and has taken records since, it has entries that the history does not have. The
// first such entry ends the common part: all later ones are of the log only.
//
// Example: the log was restored when it ended with entry 10 at offset 200, and has taken three
// records. The history lists the entries 11 to 90 that it had before, with the offsets 200 to 399. So
// the log has diverged at entry 11.
func (p *planning) findDivergence(ctx context.Context) error {
	if !p.archived.found || p.bounds == nil {
		return nil
	}
	m, err := archive.Manifest(ctx, p.Store, p.history.Manifest)
	if err != nil {
		return err
	}
	above := max(p.archived.named.End.Sequence, p.bounds.First-1)
	var failed error
	next, stop := iter.Pull(p.entries(ctx, m, above, &failed))
	defer stop()
	h, more := next()
	begin := h.Sequence // what is before was dropped by retention
	err = p.log.Walk(ctx, above+1, p.bounds.Last, func(e messages.LoggedEntry) error {
		n := &e.Entry
		if e.Sequence > m.End.Sequence {
			if n.BaseOffset-n.Gap < m.End.Offset {
				p.archived.diverged = e.Sequence
			}
			return errCompared
		}
		if e.Sequence < begin || begin == 0 {
			return nil
		}
		for more && h.Sequence < e.Sequence {
			h, more = next()
		}
		if !more || !sameEntry(&h, &e) {
			p.archived.diverged = e.Sequence
			return errCompared
		}
		return nil
	}, func(partitionlog.Missing) error { return nil })
	if errors.Is(err, errCompared) {
		err = nil
	}
	return errors.Join(failed, err)
}

// errCompared ends the walk through a log whose comparison is done.
var errCompared = errors.New("the comparison is done")

// entries are those of a manifest above a sequence. They end early if one cannot be read, and failed
// says why.
func (p *planning) entries(ctx context.Context, m *manifest.Manifest, above uint64, failed *error) iter.Seq[messages.LoggedEntry] {
	return func(yield func(messages.LoggedEntry) bool) {
		err := archive.Walk(ctx, p.Store, m, above, archive.Walker{
			Entry: func(e *messages.LoggedEntry) error {
				if !yield(*e) {
					return errCompared
				}
				return nil
			},
			Damaged: func(d archive.Damage) error { return d.Err },
		})
		if err != nil && !errors.Is(err, errCompared) {
			*failed = err
		}
	}
}

// sameEntry compares what segments keep of an entry.
func sameEntry(a, b *messages.LoggedEntry) bool {
	x, y := &a.Entry, &b.Entry
	if a.Sequence != b.Sequence || x.BaseOffset != y.BaseOffset || x.Gap != y.Gap || x.Time != y.Time || len(x.Batches) != len(y.Batches) {
		return false
	}
	for i := range x.Batches {
		v, w := &x.Batches[i], &y.Batches[i]
		if v.Records != w.Records || v.MessageID != w.MessageID || v.Sequence != w.Sequence {
			return false
		}
	}
	return true
}
