package archive

import (
	"context"
	"errors"
	"fmt"

	"laneway.dev/internal/core/layout"
	"laneway.dev/internal/core/manifest"
	"laneway.dev/internal/core/segment"
	"laneway.dev/internal/core/sweeprecord"
	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// The kinds of damage beside those of objects with batches.
const (
	DamagedManifest objectstore.Damage = "manifest" // or a list of segments
	DamagedFooter   objectstore.Damage = "footer"   // of a segment, or the end is missing
	DamagedPage     objectstore.Damage = "page"     // of a segment
	DamagedRecord   objectstore.Damage = "record"   // of a sweep
)

// Manifest reads a manifest. Damage is a *objectstore.CorruptError or ErrNotFound.
func Manifest(ctx context.Context, store objectstore.Store, key string) (*manifest.Manifest, error) {
	return patient(store).Manifest(ctx, key, 0)
}

// List reads a list of segments. Damage is a *objectstore.CorruptError or ErrNotFound.
func List(ctx context.Context, store objectstore.Store, key string) (*manifest.List, error) {
	return patient(store).List(ctx, key)
}

// Footer reads the footer of a segment. Damage is a *objectstore.CorruptError or ErrNotFound.
func Footer(ctx context.Context, store objectstore.Store, o objectstore.Listed) (*segment.Footer, error) {
	f, _, err := patient(store).Footer(ctx, o.Key, o.Size)
	return f, err
}

// Page reads the entries of a page of a segment. Damage is a *objectstore.CorruptError or
// ErrNotFound.
func Page(ctx context.Context, store objectstore.Store, f *segment.Footer, page int) ([]messages.LoggedEntry, error) {
	return patient(store).Page(ctx, f, page)
}

// Record reads the record of a sweep. Damage is a *objectstore.CorruptError or ErrNotFound.
func Record(ctx context.Context, store objectstore.Store, o objectstore.Listed) error {
	return patient(store)(ctx, Part{o.Key, DamagedRecord, 0, o.Size}, func(data []byte) error {
		_, err := sweeprecord.Decode(o.Key, data)
		if err != nil && !errors.Is(err, sweeprecord.ErrTorn) {
			err = layout.Malformed("%s", err.Error())
		}
		return err
	})
}

// maxReads bounds the reads of a part if its content is wrong in another way each time.
const maxReads = 100

// patient returns Parts for commands. Content that is malformed is read again until it is the same in
// objectstore.Reads reads.
func patient(store objectstore.Store) Parts {
	return func(ctx context.Context, p Part, decode func([]byte) error) error {
		var altered objectstore.Altered
		for reads := 1; ; reads++ {
			data := make([]byte, p.Length)
			object := objectstore.Listed{Key: p.Key, Size: p.Offset + p.Length}
			if _, err := objectstore.NewReader(ctx, store, object, 0).ReadAt(data, p.Offset); err != nil {
				return err
			}
			err := decode(data)
			switch {
			case err == nil:
				return nil
			case errors.Is(err, layout.ErrVersion):
				return fmt.Errorf("object %q: %w", p.Key, err)
			case !errors.Is(err, protocol.ErrMalformed):
				return err
			case altered.Add(data), reads == maxReads:
				return &objectstore.CorruptError{Damage: p.Damage, Key: p.Key, Offset: p.Offset, Length: p.Length, Reason: err.Error()}
			}
			ctx = objectstore.WithNewConnection(ctx)
		}
	}
}
