package archive

import (
	"context"

	"laneway.dev/internal/core/manifest"
	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/protocol"
)

// Manifests calls found for each manifest in a store that belongs to a partition, in any of the
// partition's incarnations, and damaged for each object that may be one and cannot be read. It
// reads all manifests, because only their content says to which partition they belong.
func Manifests(
	ctx context.Context, store objectstore.Store, p protocol.Partition, found func(*manifest.Manifest), damaged func(key string, err error),
) error {
	for o, err := range store.List(ctx, string(objectstore.KindManifest)) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return err
		}
		m, err := ManifestOrList(ctx, store, o)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			damaged(o.Key, err)
		case m != nil && m.Partition.TopicID == p.TopicID && m.Partition.Number == p.Number:
			found(m)
		}
	}
	return nil
}

// ManifestOrList reads an object that is a manifest or a list; nil if it is a list. Damage is a
// *objectstore.CorruptError or ErrNotFound.
func ManifestOrList(ctx context.Context, store objectstore.Store, o objectstore.Listed) (m *manifest.Manifest, err error) {
	err = patient(store)(ctx, Part{o.Key, DamagedManifest, 0, o.Size}, func(data []byte) (err error) {
		if m, err = manifest.Decode(o.Key, data); err == nil {
			return nil
		}
		if _, listErr := manifest.DecodeList(o.Key, data); listErr == nil {
			return nil
		}
		return err
	})
	return m, err
}

// Newest returns the manifest that says most about the history of a partition; nil if there is
// none. Every manifest lists acknowledged entries only, also one that no log names: the job that
// it results from was lost, or was done twice. So the one that ends last is right. Of several
// with the same end, retention has dropped segments of those that start earlier, which may be
// deleted. Of several with the same start, the one with the fewest records that could not be read
// is taken.
func Newest(all []*manifest.Manifest) (newest *manifest.Manifest) {
	for _, m := range all {
		if newest == nil || m.End.Sequence > newest.End.Sequence || m.End == newest.End && better(m, newest) {
			newest = m
		}
	}
	return newest
}

func better(a, b *manifest.Manifest) bool {
	if a.Start != b.Start {
		return a.Start > b.Start
	}
	if x, y := lost(a), lost(b); x != y {
		return x < y
	}
	return a.Key > b.Key
}

// lost returns how many records could not be read when they were archived.
func lost(m *manifest.Manifest) (records int64) {
	for _, s := range m.Lists {
		records += s.Damaged
	}
	for _, s := range m.Segments {
		records += s.Damaged
	}
	return records
}
