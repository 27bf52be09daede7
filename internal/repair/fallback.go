package repair

import (
	"context"

	"laneway.dev/internal/archive"
	"laneway.dev/internal/core/manifest"
	"laneway.dev/internal/core/segment"
	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/messages"
)

// fallBack replaces a history whose manifest is lost by an older one. No later manifest was found, nor
// another one that ends where the lost one did. So the records between the end of the older history
// and the first entry that the stream still has are lost. Without an older one, the log begins with
// that entry.
func (p *planning) fallBack(ctx context.Context) error {
	m, err := p.olderManifest(ctx)
	if err != nil {
		return err
	}
	p.history = messages.History{}
	if m != nil {
		p.history = m.History()
	}
	return p.readManifest(ctx)
}

// olderManifest returns the newest manifest that ends before the lost one; nil if there is none. It
// prefers those whose segments are all there: of others, the store has deleted segments that were
// merged or dropped.
//
// A manifest of an earlier incarnation may list records that were given up when the log was
// continued. So it must not end after the offset at which the log begins, if that is known.
func (p *planning) olderManifest(ctx context.Context) (*manifest.Manifest, error) {
	lost := p.archived.lost
	var candidates []*manifest.Manifest
	err := archive.Manifests(ctx, p.Store, p.old, func(m *manifest.Manifest) {
		of := m.Partition.Incarnation
		switch {
		case m.Key == lost.Manifest, m.End.Sequence > lost.End.Sequence, m.End.Offset > lost.End.Offset, of > p.old.Incarnation:
		case of < p.old.Incarnation && p.archived.begin != nil && m.End.Offset > *p.archived.begin:
		default:
			candidates = newest(append(candidates, m))
		}
	}, func(string, error) {})
	if err != nil || len(candidates) == 0 {
		return nil, err
	}
	there := make(map[string]struct{})
	for o, err := range p.Store.List(ctx, string(objectstore.KindSegment)) {
		if err != nil {
			return nil, err
		}
		there[o.Key] = struct{}{}
	}
	var usable *manifest.Manifest
	for _, m := range candidates {
		readable, whole, err := p.lists(ctx, m, there)
		switch {
		case err != nil:
			return nil, err
		case whole:
			return m, nil
		case readable && usable == nil:
			usable = m
		}
	}
	return usable, nil
}

// lists reports whether the lists of a manifest can be read, and whether all segments are there.
func (p *planning) lists(ctx context.Context, m *manifest.Manifest, there map[string]struct{}) (readable, whole bool, err error) {
	readable, whole = true, true
	err = archive.Walk(ctx, p.Store, m, 0, archive.Walker{
		Segment: func(s segment.Summary) error {
			_, is := there[s.Key]
			whole = whole && is
			return nil
		},
		Damaged: func(d archive.Damage) error {
			readable, whole = false, false
			if !objectstore.IsDamage(d.Err) {
				return d.Err
			}
			return nil
		},
	})
	return readable, whole, err
}
